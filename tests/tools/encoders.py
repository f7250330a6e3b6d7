"""AVIF, HEIC and JPEG XL of Pillow's images, by the formats' own programs: avif([image...], "-l"), heic(...), jxl(...) give bytes."""
import subprocess, tempfile


def tool(inputs, ending, *command):
    """What command writes: IN in it stands for the inputs (images, or (ending, bytes)), OUT for the output."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for i, given in enumerate(inputs):
            if isinstance(given, tuple):
                names.append(f"{folder}/{i}.{given[0]}")
                with open(names[-1], "wb") as f:
                    f.write(given[1])
            else:
                names.append(f"{folder}/{i}.png")
                given.save(names[-1])
        out = f"{folder}/out.{ending}"
        words = [w for word in command for w in (names if word == "IN" else [out] if word == "OUT" else [word])]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(out, "rb") as f:
            return f.read()


def avif(inputs, *options):
    return tool(inputs, "avif", "avifenc", "-s", "9", "-j", "1", *options, "IN", "OUT")


def heic(inputs, *options):
    return tool(inputs, "heic", "heif-enc", *options, "IN", "-o", "OUT")


LOSSLESS_HEIC = ("-L", "-p", "chroma=444", "--matrix_coefficients=0")


def jxl(inputs, *options):
    return tool(inputs, "jxl", "cjxl", "--num_threads=0", *options, "IN", "OUT")
