#!/usr/bin/env python3
"""Prints every reject reason that the sources can write, one a line, sorted: what winnow-formats(5) has to list.

Reasons are string literals in a few places: functions and arrays named ...slug(s), the reason given to manifest_writer_reject, values
assigned to a member `reason`, and what the functions below return or add. usage: reject_reasons.py FILE.c...
"""
import re
import sys

SLUG = re.compile(r'"([a-z][a-z0-9]*(?:-[a-z0-9]+)*)"')
RETURNED_BY = ('describe', 'broken_rule')           # pack, validate
CALLS = ('manifest_writer_reject', 'add', 'add_failure')    # the latter two: scan, phash-dedup
found = set()


def balanced(text, at, pair):
    """The text from the bracket at `at` to the one that closes it."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == pair[0]) - (text[i] == pair[1])
        if depth == 0:
            return text[at:i]
    return ''


for path in sys.argv[1:]:
    text = re.sub(r'/\*.*?\*/', '', open(path, encoding='utf-8').read(), flags=re.S)
    for m in re.finditer(r'\b\w*slugs?\w*(?:\[\w*\])?\s*(?:\([^;{]*\))?\s*=?\s*(\{)', text):
        found.update(SLUG.findall(balanced(text, m.start(1), '{}')))
    for name in RETURNED_BY:
        for m in re.finditer(r'\*%s\([^;{]*\)\s*(\{)' % name, text):
            found.update(s for r in re.findall(r'return ([^;]*);', balanced(text, m.start(1), '{}')) for s in SLUG.findall(r))
    for name in CALLS:
        for m in re.finditer(r'\b%s(\()' % name, text):
            found.update(SLUG.findall(balanced(text, m.start(1), '()')))
    for m in re.finditer(r'\breason\s*=\s*([^=;][^;]*);', text):
        found.update(SLUG.findall(m.group(1)))
print('\n'.join(sorted('http-NNN' if s == 'http' else s for s in found)))     # made from the status
