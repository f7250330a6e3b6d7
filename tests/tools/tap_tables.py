"""What the checks of eval's numbers share: TAP lines and TSV tables. Standard library only."""
CLASSES = ["drawings", "hentai", "neutral", "porn", "sexy"]
count = failed = 0


def ok(good, text):
    global count, failed
    count += 1
    failed += not good
    print(("ok" if good else "not ok"), count, "-", text)


def plan():
    """Prints the plan; the exit status."""
    print("1..%d" % count)
    return 1 if failed else 0


def read(path):
    with open(path, newline="") as f:
        lines = f.read().split("\n")
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"))) for line in lines[1:] if line]
