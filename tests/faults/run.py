#!/usr/bin/env python3
"""run.py: what every program does when things go wrong, one thing at a time. Prints TAP, one line a program and kind of fault.

Through the fault hook (WINNOW_FAULT, lib/base/mem.h): the nth allocation, open, read, write, fsync or rename fails. Through
fail_libc.c: every call the program makes to libc to open, read, write, sync, name, remove or look at something, to start a thread or a
process; the clock jumps a year. From outside: SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGPIPE at moments spread over the run; a closed pipe; a
full device; a full and a read-only disk; few descriptors; little address space; two runs at once. After each: no crash, a documented exit
code, one message; every destination file is the old one or the new one; no temporary is left (but for SIGKILL); a rerun completes and
gives the reference's bytes.

By default a few moments of each kind are tried, spread evenly (fewer of further commands of a program); FAULTS=all tries every one.
usage: run.py WORK_DIR      environment: BIN, TOP; ONLY=fetch,pack picks programs
"""
import ctypes
import functools
import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

BIN, TOP = os.environ['BIN'], os.environ['TOP']
WORK = sys.argv[1]
ALL = os.environ.get('FAULTS') == 'all'
KINDS = ('alloc', 'open', 'read', 'write', 'fsync', 'rename')
LIBC_KINDS = ('open', 'read', 'write', 'sync', 'name', 'gone', 'look', 'start', 'clock', 'clock-')
FAIL_LIBC = os.path.join(WORK, 'fail_libc.so')
DOCUMENTED = {1, 64, 65, 66, 69, 71, 73, 74, 75}
TIMEOUT = 180         # a hang; a machine may be busy
n_run = n_failed = n_faults = 0


def tap(good, text, why=()):
    global n_run, n_failed
    n_run += 1
    n_failed += not good
    print('%sok %d - %s' % ('' if good else 'not ', n_run, text))
    for line in list(why)[:6]:
        print('#   ' + line)
    sys.stdout.flush()


def read(path):
    try:
        with open(path, 'rb') as f:
            return f.read()
    except FileNotFoundError:
        return None


class Scenario:
    """A command in a folder of its own. files: destinations to compare; folders: made by the command, each file in them the old one, the
    new one or not there; whole: those of them that are the old one or the new one as one; all relative to the folder. prepare(folder): makes
    what the command changes in place. ignore: parts of names of files that differ from run to run; without: columns that do.
    hook_only: nothing but the hook (a command of several processes). second: what the slower of two at once may end with."""

    def __init__(self, name, argv, files=(), folders=(), prepare=None, slow=False, ignore=(), whole=(), without=(), hook_only=False, second=75, listed=None):
        self.name, self.argv, self.files, self.folders = name, argv, files, folders
        self.prepare, self.slow, self.ignore, self.whole, self.without = prepare, slow, ignore, whole, without
        self.hook_only, self.second = hook_only, second
        self.listed = listed        # (prefix, table): a file with that prefix counts when the table names it; else it is not part of the result yet
        self.dir = os.path.join(WORK, name)
        self.argv[0] = os.path.join(BIN, self.argv[0])
        self.want, self.before, self.fine = {}, {}, set()
        self.extra = not os.path.exists(os.path.join(BIN, name))    # a further command of a program
        self.points = 3 if self.extra else 4 if slow else 10        # of each kind, through the hook
        self.libc_points = 2 if self.extra or slow else 3

    def command(self, env=None, **how):
        full = dict(os.environ, **(env or {}))
        return subprocess.run(self.argv, cwd=self.dir, env=full, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, **how)

    def clear(self, old=True):
        for path in self.temporaries():     # SIGKILL may leave one
            os.unlink(path)
        for f in self.folders:
            shutil.rmtree(os.path.join(self.dir, f), ignore_errors=True)
        for f in self.files:
            path = os.path.join(self.dir, f)
            if os.path.lexists(path):
                os.unlink(path)
            if old:
                with open(path, 'wb') as out:
                    out.write(b'old\n')
        if self.prepare:
            self.prepare(self.dir)
        self.before = self.results()

    def state(self):
        """All that a rerun finds, as one digest."""
        h = hashlib.sha256()
        for base, dirs, names in sorted(os.walk(self.dir)):
            for name in sorted(dirs + names):
                path = os.path.join(base, name)
                h.update(('%s %o\n' % (os.path.relpath(path, self.dir), os.lstat(path).st_mode)).encode('utf-8', 'surrogateescape'))
                if os.path.islink(path):
                    h.update(os.readlink(path).encode('utf-8', 'surrogateescape'))
                elif name in names and name != 'lock' and not name.endswith('.lock'):
                    h.update(read(path))
        return h.digest()

    def stable(self, table):
        """The table less the columns that differ from run to run."""
        if not self.without or not table or b'\t' not in table:
            return table
        rows = [line.split(b'\t') for line in table.split(b'\n')]
        keep = [i for i, name in enumerate(rows[0]) if name.decode() not in self.without]
        return b'\n'.join(b'\t'.join(row[i] for i in keep if i < len(row)) for row in rows)

    def results(self):
        """Destination files, and what the folders hold (by hash)."""
        got = {f: self.stable(read(os.path.join(self.dir, f))) for f in self.files}
        table = read(os.path.join(self.dir, self.listed[1])) or b'' if self.listed else b''
        for folder in self.folders:
            for base, dirs, names in os.walk(os.path.join(self.dir, folder)):
                for name in names:
                    path = os.path.join(base, name)
                    rel = os.path.relpath(path, self.dir)
                    if any(part in rel for part in self.ignore) or '.new-' in rel or name.endswith('.tmp') or name == 'lock' or name.endswith('.lock'):
                        continue
                    if self.listed and rel.startswith(self.listed[0]) and os.path.splitext(name)[0].encode() not in table:
                        continue
                    got[rel] = hashlib.sha256(read(path) or b'').hexdigest()
        return got

    def temporaries(self):
        found = []
        for base, dirs, names in os.walk(self.dir):
            found += [os.path.join(base, n) for n in names if n.endswith('.tmp')]
        return found

    def reference(self):
        self.clear(old=False)
        count = os.path.join(WORK, 'count-' + self.name)
        if os.path.exists(count):
            os.unlink(count)
        start = time.monotonic()
        done = self.command({'WINNOW_FAULT_COUNT': count})
        self.seconds = time.monotonic() - start
        self.want = self.results()
        self.out = done.stdout
        self.counts = {}
        for line in (read(count) or b'').decode().splitlines():
            kind, n = line.split('\t')
            self.counts[kind] = max(self.counts.get(kind, 0), int(n))
        ok = done.returncode == 0 and all(v is not None for v in self.want.values())
        self.clear(old=False)
        done_libc = self.command({'LD_PRELOAD': FAIL_LIBC, 'FAIL_LIBC_COUNT': count})
        self.libc_counts = {}
        if b'runtime does not come first' not in done_libc.stderr:      # a sanitiser's has to, and then there is none of this
            ok &= done_libc.returncode == 0 and self.results() == self.want
            self.libc_counts = {k: int(n) for k, n in (line.split('\t') for line in (read(count) or b'').decode().splitlines())}
        self.libc_counts['clock-'] = self.libc_counts.get('clock', 0)
        self.peak = self.libc_counts.get('peak', 0)
        tap(ok, '%s: the reference run (%.2f s)' % (self.name, self.seconds), [done.stderr.decode(errors='replace')[-300:]] if not ok else ())
        return ok

    def check(self, code, stderr, what, killed=None, may_leave=False, out=None):
        """A list of complaints."""
        bad = []
        # A worker that dies or runs out of memory costs its picture, as a hostile one does: a reject with its reason, and the run goes on.
        said = b''.join(read(os.path.join(self.dir, f)) or b'' for f in self.files) + (out or b'') + stderr
        if code in (0, 1) and (b'decode-memory' in said or b'decode-crashed' in said):     # 1: --max-rejects
            return []
        if code == 0:
            if killed is None and self.results() != self.want:
                bad.append('%s: status 0 but the result differs %s' % (what, stderr[-200:]))
            elif out is not None and out != self.out:
                bad.append('%s: status 0 but standard output differs' % what)
        elif code < 0:
            if killed != -code:
                bad.append('%s: died of signal %d' % (what, -code))
        elif code - 128 != killed and code not in DOCUMENTED:
            bad.append('%s: status %d is not documented: %s' % (what, code, stderr[-200:]))
        elif killed is None and not stderr.strip():
            bad.append('%s: status %d without a word' % (what, code))
        if b'Sanitizer' in stderr:
            bad.append('%s: %s' % (what, stderr[-400:]))
        for f in self.files:
            got = self.stable(read(os.path.join(self.dir, f)))
            if got not in (b'old\n', self.want[f]):
                bad.append('%s: %s is neither the old file nor the new one' % (what, f))
        got = self.results()
        for name, digest in got.items():
            if may_leave and '/tmp/' in name:       # the store empties it when it is opened the next time
                continue
            if name not in self.files and digest not in (self.before.get(name), self.want.get(name)):
                bad.append('%s: %s is neither the old file nor the new one' % (what, name))
        for folder in self.whole:
            now, old, new = ({k: v for k, v in r.items() if k.startswith(folder + '/')} for r in (got, self.before, self.want))
            if now not in (old, new):
                bad.append('%s: %s is neither the old folder nor the new one' % (what, folder))
        if not may_leave and self.temporaries():
            bad.append('%s: left %s' % (what, self.temporaries()[:2]))
        return bad

    def again(self, what):
        """A rerun; not where one that began with the very same files went well before."""
        state = self.state()
        if state in self.fine:
            return []
        done = self.command()
        if done.returncode != 0:
            return ['%s: the rerun ends with %d: %s' % (what, done.returncode, done.stderr[-200:])]
        left = [os.path.join(base, n) for base, dirs, names in os.walk(self.dir) for n in dirs if '.new-' in n]     # what was begun is swept
        if left:
            return ['%s: the rerun leaves %s' % (what, left[:2])]
        got = self.results()
        if got != self.want:
            differ = sorted(k for k in set(got) | set(self.want) if got.get(k) != self.want.get(k))
            return ['%s: the rerun gives another result: %s' % (what, differ[:4])]
        self.fine.add(state)
        return []


def spread(n, most):
    if ALL or n <= most:
        return range(1, n + 1)
    return sorted({1 + i * (n - 1) // (most - 1) for i in range(most)})


def hooked(s):
    global n_faults
    for kind in KINDS:
        total = s.counts.get(kind, 0)
        bad, tried = [], 0
        for at in spread(total, s.points):
            s.clear()
            what = '%s %d of %d' % (kind, at, total)
            try:
                done = s.command({'WINNOW_FAULT': '%s:%d' % (kind, at)})
                bad += s.check(done.returncode, done.stderr, what, out=done.stdout)
                bad += s.again(what)
            except subprocess.TimeoutExpired:
                bad.append(what + ': hangs')
            tried += 1
        n_faults += tried
        if tried:
            tap(not bad, '%s: %s fails (%d of %d tried)' % (s.name, kind, tried, total), bad)


def libc_fails(s):
    """Every call to libc that the program makes itself, whether it passes the hook or not."""
    global n_faults
    said = os.path.join(WORK, 'said')
    for kind in LIBC_KINDS:
        total = s.libc_counts.get(kind, 0)
        bad, tried = [], 0
        for at in spread(total, s.libc_points):
            s.clear()
            try:
                done = s.command({'LD_PRELOAD': FAIL_LIBC, 'FAIL_LIBC': '%s:%s%d' % (kind.rstrip('-'), '-' if '-' in kind else '', at), 'FAIL_LIBC_SAID': said})
                what = 'libc %s %d of %d (%s)' % (kind, at, total, (read(said) or b'').decode().strip())
                bad += s.check(done.returncode, done.stderr, what, may_leave=kind == 'gone', out=done.stdout)
                if 'clock' in kind and done.returncode:
                    bad.append('%s: status %d %s' % (what, done.returncode, done.stderr[-200:]))
                bad += s.again(what)
            except subprocess.TimeoutExpired:
                bad.append('libc %s %d of %d: hangs' % (kind, at, total))
            tried += 1
        n_faults += tried
        if tried:
            tap(not bad, '%s: libc, %s (%d of %d tried)' % (s.name, kind + (' jumps' if 'clock' in kind else ' fails'), tried, total), bad)


def signalled(s):
    global n_faults
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        bad = []
        moments = 5 if number == signal.SIGKILL and (ALL or not s.extra) else 3 if ALL or not s.extra else 1
        for i in range(moments):
            s.clear()
            what = '%s at %d/%d' % (number.name, i + 1, moments + 1)
            p = subprocess.Popen(s.argv, cwd=s.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(s.seconds * (i + 1) / (moments + 1))
            p.send_signal(number)
            try:
                stderr = p.communicate(timeout=TIMEOUT)[1]
                bad += s.check(p.returncode, stderr, what, killed=int(number), may_leave=number == signal.SIGKILL)
                bad += s.again(what)
            except subprocess.TimeoutExpired:
                p.kill()
                bad.append(what + ': hangs')
            n_faults += 1
        tap(not bad, '%s: %s at %d moments, then a rerun' % (s.name, number.name, moments), bad)


def environment(s):
    """Closed and full standard output, few descriptors, a full and a read-only disk, two at once."""
    global n_faults
    bad = []
    if s.out:
        with open('/dev/full', 'w') as full:
            s.clear()
            code = subprocess.run(s.argv, cwd=s.dir, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE).returncode
            if code != 74:
                bad.append('standard output full: status %d, not 74' % code)
        r, w = os.pipe()
        os.close(r)
        s.clear()
        code = subprocess.run(s.argv, cwd=s.dir, stdin=subprocess.DEVNULL, stdout=w, stderr=subprocess.PIPE).returncode
        os.close(w)
        if code not in (-signal.SIGPIPE, 74):
            bad.append('closed pipe: status %d' % code)
        n_faults += 2
    for limit in (4, 6, 9, 14):
        import resource
        s.clear()
        what = '%d descriptors' % limit
        try:
            done = s.command(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
            if done.returncode != 127:      # 127: the loader itself could not open a library
                bad += s.check(done.returncode, done.stderr, what)
            bad += s.again(what)
        except subprocess.TimeoutExpired:
            bad.append(what + ': hangs')
        n_faults += 1
    # Little address space: malloc fails in libraries, too. A sanitiser needs terabytes of it.
    shares = [] if os.environ.get('CONFIG') in ('asan', 'tsan') else range(1, 9) if ALL else (3, 6)
    for share in (s.peak * k // 8 for k in shares):
        import resource
        s.clear()
        what = '%d MiB of address space' % (share >> 20)
        small = functools.partial(resource.setrlimit, resource.RLIMIT_AS, (share, share))
        if share == 0 or subprocess.run([s.argv[0], '--version'], preexec_fn=small, capture_output=True).returncode:
            continue            # not even its libraries find room
        try:
            done = s.command(preexec_fn=small)
            # oneDNN 2.7 does not look whether it got the memory for the code it writes (xbyak in dnnl_sgemm): nothing of ours is in that trace.
            killed = -done.returncode if s.slow and done.returncode in (-signal.SIGSEGV, -signal.SIGABRT) else None
            bad += s.check(done.returncode, done.stderr, what, out=done.stdout, killed=killed, may_leave=killed)
            bad += s.again(what)
        except subprocess.TimeoutExpired:
            bad.append(what + ': hangs')
        n_faults += 1
    s.clear()
    two = [subprocess.Popen(s.argv, cwd=s.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    codes = []
    for p in two:
        p.communicate(timeout=TIMEOUT)
        codes.append(p.returncode)
    # second: what a run may end with that finds the files changed by the other; both may find that.
    if (0 not in codes and s.second == 75) or not set(codes) <= {0, 75, s.second}:
        bad.append('two at once end with %s' % codes)
    bad += s.again('two at once')
    n_faults += 1
    tap(not bad, '%s: full and closed output, few descriptors, two at once' % s.name, bad)


def disks(s):
    """A full and a read-only disk, in a mount namespace of our own."""
    global n_faults
    if not CAN_MOUNT:
        print('ok %d - %s: full and read-only disk # SKIP needs root to mount a tmpfs' % (bump(), s.name))
        return
    bad = []
    real = s.dir
    for size in ('full', '16k', '64k', 'read-only'):
        small = os.path.join(WORK, 'disk')
        os.makedirs(small, exist_ok=True)
        if libc.mount(b'tmpfs', small.encode(), b'tmpfs', 0, b'size=512m'):
            bad.append('cannot mount')
            break
        shutil.copytree(real, small, dirs_exist_ok=True, symlinks=True)
        s.dir = small
        s.clear()
        if size == 'read-only':
            libc.mount(b'tmpfs', small.encode(), b'tmpfs', 32 | 1, None)       # MS_REMOUNT | MS_RDONLY
        else:
            used = int(subprocess.check_output(['du', '-sk', small]).split()[0]) + 8
            filler = os.path.join(small, 'filler')
            room = {'full': 0, '16k': 16, '64k': 64}[size]
            fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
            try:
                os.posix_fallocate(fd, 0, max(4, 512 * 1024 - used - room) * 1024)
            except OSError:
                pass
            try:
                while size == 'full' and os.write(fd, b'x' * 4096):
                    pass
            except OSError:
                pass
            os.close(fd)
        try:
            done = s.command()
            bad += s.check(done.returncode, done.stderr, '%s disk' % size)
            if size == 'read-only':
                libc.mount(b'tmpfs', small.encode(), b'tmpfs', 32, b'size=512m')
            else:
                os.unlink(filler)
            bad += s.again('%s disk' % size)
        except subprocess.TimeoutExpired:
            bad.append('%s disk: hangs' % size)
        s.dir = real
        libc.umount2(small.encode(), 2)
        n_faults += 1
    tap(not bad, '%s: full and read-only disk, then room again' % s.name, bad)


def bump():
    global n_run
    n_run += 1
    return n_run


libc = ctypes.CDLL(None, use_errno=True)
CAN_MOUNT = os.geteuid() == 0 and libc.unshare(0x00020000) == 0 and libc.mount(None, b'/', None, 0x4000 | (1 << 18), None) == 0


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, address):
        pass                    # a client that was killed


def main():
    from scenarios import scenarios
    web = os.path.join(WORK, 'web')
    subprocess.check_call([os.environ.get('CC', 'cc'), '-shared', '-fPIC', '-O1', '-o', FAIL_LIBC, os.path.join(TOP, 'tests/faults/fail_libc.c')])
    subprocess.check_call([sys.executable, os.path.join(TOP, 'tests/tools/make_pictures.py'), web, '4', '3'])
    server = Server(('127.0.0.1', 0), functools.partial(Quiet, directory=web))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    only = os.environ.get('ONLY', '').split(',') if os.environ.get('ONLY') else None
    for s in scenarios(Scenario, WORK, TOP, BIN, server.server_address[1]):
        if not s.reference() or (only and s.name not in only):
            continue
        hooked(s)
        if not s.hook_only:
            libc_fails(s)
            signalled(s)
            environment(s)
            if ALL or not s.extra:
                disks(s)
        s.clear(old=False)
        s.command()         # the next ones take what it made
    print('# %d faults tried' % n_faults)
    print('1..%d' % n_run)
    sys.exit(n_failed > 0)


sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
main()
