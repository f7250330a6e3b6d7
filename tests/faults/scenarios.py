"""scenarios.py: one command for each program, small inputs, in the order of the flow; each takes what the one before it made."""
import os
import shutil


def scenarios(Scenario, work, top, bin_dir, port):
    model = os.path.join(top, 'tests/fixtures/tiny-net/tfjs-float32')

    def folder(name, *copies):
        path = os.path.join(work, name)
        os.makedirs(path, exist_ok=True)
        for source in copies:
            source = os.path.join(work, source)
            target = os.path.join(path, os.path.basename(source))
            if os.path.isdir(source):
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy(source, target)

    folder('scan', 'web')
    yield Scenario('scan', ['scan', 'web', '-o', 'out.tsv', '--rejects', 'rejects.tsv'], ['out.tsv', 'rejects.tsv'])

    folder('fetch')
    with open(os.path.join(work, 'fetch', 'urls.txt'), 'w') as f:
        for kind in ('stripes', 'discs', 'noise'):
            for i in range(4):
                f.write('http://127.0.0.1:%d/%s/%03d.png\n' % (port, kind, i))
        f.write('http://127.0.0.1:%d/dead.png\n' % port)
    yield Scenario('fetch', ['fetch', '--allow-private', '--ignore-robots', '--rate', '0', '--label', 'x', 'urls.txt', '-o', 'out.tsv',
                             '--rejects', 'rejects.tsv'], [], ['objects'], ignore=['journal', 'partial'])

    folder('validate', 'web', 'scan/out.tsv')
    yield Scenario('validate', ['validate', '--min-bytes', '10', 'out.tsv', '-o', 'valid.tsv', '--rejects', 'rejects.tsv'], ['valid.tsv', 'rejects.tsv'])

    folder('hash-dedup', 'web', 'validate/valid.tsv')
    yield Scenario('hash-dedup', ['hash-dedup', 'valid.tsv', '-o', 'unique.tsv', '--rejects', 'rejects.tsv'], ['unique.tsv', 'rejects.tsv'])

    folder('phash-dedup', 'web', 'hash-dedup/unique.tsv')
    yield Scenario('phash-dedup', ['phash-dedup', 'unique.tsv', '-o', 'distinct.tsv', '--rejects', 'rejects.tsv'], ['distinct.tsv', 'rejects.tsv'])

    folder('train-test-split', 'phash-dedup/distinct.tsv')
    yield Scenario('train-test-split', ['train-test-split', '--val', '0.2', '--test', '0.2', 'distinct.tsv', '-o', 'split.tsv'], ['split.tsv'])

    folder('augment', 'web', 'train-test-split/split.tsv')
    yield Scenario('augment', ['augment', '--spec', 'flip,shift=0.1', '--variants', '1', '--out', 'made', 'split.tsv', '-o', 'augmented.tsv',
                               '--rejects', 'rejects.tsv'], ['augmented.tsv', 'rejects.tsv'], ['made'])

    folder('pack', 'web', 'augment/augmented.tsv', 'augment/made')
    yield Scenario('pack', ['pack', '--size', '16', 'augmented.tsv', '-o', 'shards', '--rejects', 'rejects.tsv'], [], ['shards'])

    folder('train', 'pack/shards')
    yield Scenario('train', ['train', '--shards', 'shards', '--base', model, '--phase', 'head', '--epochs', '2', '--batch', '4', '--threads', '1',
                             '--device', 'cpu', '--folds', '2', '--out', 'run', '--cache', 'cache'], [], ['run', 'cache'], slow=True,
                   ignore=['events', 'log.tsv', 'checkpoint', 'cache'])

    folder('eval', 'pack/shards')
    yield Scenario('eval', ['eval', '--model', os.path.join(work, 'train/run/model'), '--shards', 'shards', '--split', 'all', '--out', 'report'], [], ['report'], slow=True)

    folder('eval-pictures', 'web', 'validate/valid.tsv')
    yield Scenario('eval-pictures', ['eval', '--model', os.path.join(work, 'train/run/model'), '--shards', 'valid.tsv', '--split', 'all', '--out', 'report'],
                   [], ['report'], slow=True)

    folder('mine-errors', 'train/run/oof.tsv')
    yield Scenario('mine-errors', ['mine-errors', '--predictions', 'oof.tsv', '--filter', 'predicted_neq_given', '-o', 'suspects.tsv', '--matrices', 'matrices.tsv'],
                   ['suspects.tsv', 'matrices.tsv'])

    folder('relabel', 'validate/valid.tsv')
    with open(os.path.join(work, 'relabel', 'decisions.tsv'), 'w') as f:
        f.write('id\tdecision\tlabel\treviewer\tdate\n')
        lines = open(os.path.join(work, 'phash-dedup', 'distinct.tsv')).read().splitlines()
        at = lines[0].split('\t').index('xxh128')
        f.write('%s\trelabel\tdiscs\ttest\t2026-01-01\n' % lines[1].split('\t')[at])
    folder('relabel', 'phash-dedup/distinct.tsv')
    yield Scenario('relabel', ['relabel', '--decisions', 'decisions.tsv', 'distinct.tsv', '-o', 'out.tsv'], ['out.tsv'])

    folder('classify', 'web')
    yield Scenario('classify', ['classify', '--model', os.path.join(work, 'train/run/model'), '--device', 'cpu', 'web'], slow=True)

    folder('export')
    yield Scenario('export', ['export', '--model', os.path.join(work, 'train/run/model'), '--to', 'tfjs', '--quantize', 'uint8', '-o', 'out'], [], ['out'], slow=True)

    folder('manifest', 'validate/valid.tsv')
    yield Scenario('manifest', ['manifest', 'cat', 'valid.tsv', 'valid.tsv', '-o', 'out.tsv'], ['out.tsv'])

    folder('collect-reports', 'phash-dedup/distinct.tsv')
    with open(os.path.join(work, 'collect-reports', 'report.tsv'), 'w') as f:
        f.write('id\tmodel_id\tpred\tclaimed_label\tslice\n%s\tm\tdiscs\tnoise\tdark\n%s\tm\tdiscs\tnoise\tsmall\n' % ((lines[1].split('\t')[at],) * 2))
    yield Scenario('collect-reports', ['collect-reports', '--manifest', 'distinct.tsv', '--slices', 'slices.tsv', '-o', 'out.tsv', 'report.tsv'], ['out.tsv', 'slices.tsv'])

    # purge changes a run in place: shards, tables, caches and the model made above, and a store that one picture was taken down from.
    template = os.path.join(work, 'purge', 'template')
    for name in ('shards', 'run', 'cache'):
        shutil.copytree(os.path.join(work, 'train', name), os.path.join(template, name), ignore=shutil.ignore_patterns('*.lock', 'lock'))
    shutil.copy(os.path.join(work, 'phash-dedup', 'distinct.tsv'), template)
    os.makedirs(os.path.join(template, 'store', 'objects'))
    with open(os.path.join(template, 'store', 'takedown.tsv'), 'w') as f:
        f.write('time\tkind\tvalue\n1700000000\txxh128\t%s\n' % lines[1].split('\t')[at])

    def copy(where):
        shutil.copytree(os.path.join(where, 'template'), os.path.join(where, 'whole'), dirs_exist_ok=True)
    yield Scenario('purge', ['purge', '--store', 'whole/store', 'whole'], [], ['whole'], prepare=copy)
