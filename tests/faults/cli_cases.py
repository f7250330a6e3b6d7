#!/usr/bin/env python3
"""cli_cases.py: the command-line cases of tests/cli once more, with the nth allocation, open, read, write, fsync or rename failing (the hook of
lib/base/mem.h). Each time either nothing is to be seen of it (status, output and files as without), or the case ends with a documented status and a
message; no crash, no hang, no temporary left, and a file that is there is the one that was there or the one that should come. run.py does the
same, and more, to one command of each program; these are many small ones. Prints TAP, one line a folder of tests/cli.

By default POINTS calls of each kind are tried in each case, other ones in each case; FAULTS=N tries N, FAULTS=all every call.
usage: cli_cases.py WORK_DIR      environment: BIN, TOP; CASES='eval/*' picks some
"""
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import zlib

BIN, TOP, WORK = os.environ['BIN'], os.environ['TOP'], sys.argv[1]
ALL = os.environ.get('FAULTS') == 'all'
POINTS = int(os.environ['FAULTS']) if os.environ.get('FAULTS', '').isdigit() else 1
KINDS = ('alloc', 'open', 'read', 'write', 'fsync', 'rename')
DOCUMENTED = {65, 66, 69, 71, 73, 74, 75}
EXPECTED = ('out.tsv', 'stderr', 'rejects.tsv', 'exit')
# What grows in place by design, and what a case makes itself or takes from a program's output.
GROWING = ('journal', 'partial', 'audit', 'status', 'lock', 'takedown')
MADE = {'export/into-a-full-folder': ('out/model.json', 'out/firmware.bin'), 'relabel': ('out', 'one', 'two'), 'classify/hand-off': ('inbox/', 'log.tsv')}
# Goes on after a command that failed, so that neither its status nor the files it makes itself tell of it; only the words do.
SWALLOWS = re.compile(r"\|\||&&|^!|; *!|\bif \b|\$\?", re.MULTILINE)


def files_of(folder):
    got = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, 'rb') as f:
                    got[os.path.relpath(path, folder)] = f.read()
    return got


class Case:
    def __init__(self, name):
        self.name, self.source, self.folder = name, os.path.join(TOP, 'tests/cli', name), os.path.join(WORK, 'case')
        with open(os.path.join(self.source, 'cmd')) as f:
            cmd = f.read()
        self.swallows = SWALLOWS.search(cmd) is not None
        self.kept_words = tuple(re.findall(r"2> *([\w.]+)", cmd)) # files that take the messages instead of standard error
        self.hides_words = '2>' in cmd

    def run(self, **env):
        """status, output, messages, files that the case left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.source, self.folder, ignore=shutil.ignore_patterns(*EXPECTED))
        self.before = files_of(self.folder)
        given = os.path.join(self.folder, 'in.tsv')
        with open(given if os.path.exists(given) else '/dev/null', 'rb') as f:
            done = subprocess.run(['bash', '-eu', '-o', 'pipefail', 'cmd'], cwd=self.folder, stdin=f, capture_output=True, timeout=60,
                                  env=dict(os.environ, PATH=BIN + ':' + os.environ['PATH'], LC_ALL='C.UTF-8', **env))
        subprocess.run(['chmod', '-R', 'u+w', self.folder], check=True)
        return done.returncode, done.stdout, done.stderr, files_of(self.folder)

    def complaints(self, fault, want):
        try:
            status, out, err, files = self.run(WINNOW_FAULT=fault)
        except subprocess.TimeoutExpired:
            return ['hangs']
        if (status, out, files) == (want[0], want[1], want[3]):
            return []
        bad = []
        made = MADE.get(self.name, MADE.get(self.name.split('/')[0], ())) + self.kept_words
        # Without memory a worker rejects its picture, as it would a picture that asks for too much.
        if status == want[0] and any(b'\tdecode-memory\t' in content for content in files.values()):
            return []
        if status not in DOCUMENTED and not (self.swallows and status < 126):
            bad.append('status %d, not %d: %s' % (status, want[0], (err or out)[-200:].decode(errors='replace')))
        elif not err.strip() and not self.hides_words:
            bad.append('status %d without a word' % status)
        for path, content in files.items():
            if path.endswith('.tmp'):
                bad.append('left ' + path)
            elif not self.swallows and content not in (self.before.get(path), want[3].get(path)) and not any(g in path for g in GROWING) and not path.startswith(made):
                bad.append('%s is neither the old one nor the new one' % path)
        return bad


def points(n, seed):
    if ALL or n <= POINTS:
        return range(1, n + 1)
    return sorted({1 + (seed + i * n // POINTS) % n for i in range(POINTS)})


def main():
    names = sorted(os.path.relpath(base, os.path.join(TOP, 'tests/cli')) for base, _, files in os.walk(os.path.join(TOP, 'tests/cli')) if 'cmd' in files)
    names = [n for n in names if fnmatch.fnmatch(n, os.environ.get('CASES', '*'))]
    failed, programs = 0, sorted({n.split('/')[0] for n in names})
    for number, program in enumerate(programs, 1):
        bad, tried = [], 0
        for name in names:
            if name.split('/')[0] != program:
                continue
            case, counts = Case(name), os.path.join(WORK, 'counts')
            if os.path.exists(counts):
                os.unlink(counts)
            want, total = case.run(WINNOW_FAULT_COUNT=counts), {}
            if os.path.exists(counts):
                with open(counts) as f:
                    for kind, n in (line.split() for line in f):
                        total[kind] = max(total.get(kind, 0), int(n))
            for kind in KINDS:
                for at in points(total.get(kind, 0), zlib.crc32((name + kind).encode())):
                    bad += ['%s, %s %d of %d: %s' % (name, kind, at, total[kind], why) for why in case.complaints('%s:%d' % (kind, at), want)]
                    tried += 1
        failed += bool(bad)
        print('%sok %d - %s: %d calls failed, one at a time' % ('not ' if bad else '', number, program, tried))
        for line in bad[:40 if ALL else 6]:
            print('#   ' + line)
        sys.stdout.flush()
    print('1..%d' % len(programs))
    return failed > 0


sys.exit(main())
