"""scenarios.py: commands of each program, small inputs, in the order of the flow; each takes what the ones before it made."""
import os
import shutil
import subprocess


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

    def made(name, program, *arguments):
        """Something that has to be there already: made by a program in the folder of a scenario."""
        subprocess.run([os.path.join(bin_dir, program)] + list(arguments), cwd=os.path.join(work, name), check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)

    def from_template(where):
        """whole/ is changed in place: begins as a copy of template/."""
        shutil.copytree(os.path.join(where, 'template'), os.path.join(where, 'whole'), dirs_exist_ok=True)

    folder('scan', 'web')
    yield Scenario('scan', ['scan', 'web', '-o', 'out.tsv', '--rejects', 'rejects.tsv'], ['out.tsv', 'rejects.tsv'])

    folder('fetch')
    with open(os.path.join(work, 'fetch', 'urls.txt'), 'w') as f:
        for kind in ('stripes', 'discs', 'noise'):
            for i in range(4):
                f.write('http://127.0.0.1:%d/%s/%03d.png\n' % (port, kind, i))
        f.write('http://127.0.0.1:%d/dead.png\n' % port)
    yield Scenario('fetch', ['fetch', '--allow-private', '--ignore-robots', '--rate', '0', '--label', 'x', 'urls.txt', '-o', 'out.tsv',
                             '--rejects', 'rejects.tsv'], ['out.tsv', 'rejects.tsv'], ['store'], ignore=['journal', 'partial'], without=['fetched_at'])

    # Whatever order things go in, a picture that was taken down is gone and listed when the command says so.
    shutil.copytree(os.path.join(work, 'fetch', 'store'), os.path.join(work, 'fetch-takedown', 'template', 'store'), ignore=shutil.ignore_patterns('lock'))
    with open(os.path.join(work, 'fetch', 'out.tsv')) as f:
        rows = [line.split('\t') for line in f.read().splitlines()]
    with open(os.path.join(work, 'fetch-takedown', 'list'), 'w') as f:
        f.write('%s\n%s\n' % (rows[1][rows[0].index('xxh128')], rows[2][rows[0].index('url')]))
    yield Scenario('fetch-takedown', ['fetch', '--store', 'whole/store', '--takedown', 'list'], [], ['whole'], prepare=from_template,
                   ignore=['journal', 'audit', 'takedown'])

    folder('validate', 'web', 'scan/out.tsv')
    yield Scenario('validate', ['validate', '--min-bytes', '10', 'out.tsv', '-o', 'valid.tsv', '--rejects', 'rejects.tsv'], ['valid.tsv', 'rejects.tsv'])

    # A memory that cannot be read or written costs time, never a row: whatever fails, what is there is the whole output or none.
    folder('validate-memory', 'fetch/out.tsv', 'fetch/store')
    yield Scenario('validate-memory', ['validate', '--min-bytes', '10', '--with', 'pdq', '--memory', 'kept/memory.tsv', 'out.tsv', '-o', 'valid.tsv',
                                       '--rejects', 'rejects.tsv'], ['valid.tsv', 'rejects.tsv'], prepare=lambda where: shutil.rmtree(os.path.join(where, 'kept'), ignore_errors=True))

    folder('hash-dedup', 'web', 'validate/valid.tsv')
    yield Scenario('hash-dedup', ['hash-dedup', 'valid.tsv', '-o', 'unique.tsv', '--rejects', 'rejects.tsv'], ['unique.tsv', 'rejects.tsv'])

    folder('hash-dedup-read', 'web', 'scan/out.tsv')
    yield Scenario('hash-dedup-read', ['hash-dedup', '--hash-all', 'out.tsv', '-o', 'unique.tsv', '--rejects', 'rejects.tsv'], ['unique.tsv', 'rejects.tsv'])

    folder('audit', 'web', 'scan/out.tsv')
    made('audit', 'validate', '--min-bytes', '10', '--with', 'stats', 'out.tsv', '-o', 'valid.tsv')
    yield Scenario('audit', ['audit', 'valid.tsv', '-o', 'audit.tsv', '--facts', 'facts.tsv', '--scores', 'scores.tsv', '--sheet', 'sheet.html'],
                   ['audit.tsv', 'facts.tsv', 'scores.tsv', 'sheet.html'])

    # Actions on files: of each content one is left, whatever happens.
    for action in ('--delete', '--hardlink', '--quarantine'):
        name = 'hash-dedup-' + action.strip('-')
        folder(os.path.join(name, 'template'), 'web')
        pictures = os.path.join(work, name, 'template', 'web')
        for kind in ('discs', 'noise', 'stripes'):
            for i in range(2):
                shutil.copy(os.path.join(pictures, kind, '%03d.png' % i), os.path.join(pictures, kind, 'copy%d.png' % i))
        made(name, 'scan', '--root', 'template', 'web', '-o', 'manifest.tsv')
        yield Scenario(name, ['hash-dedup', '--hash-all', '--root', 'whole', action] + (['whole/aside'] if action == '--quarantine' else []) + ['manifest.tsv', '-o', 'unique.tsv'],
                       ['unique.tsv'], ['whole'], prepare=from_template, second=1)

    folder('phash-dedup', 'web', 'hash-dedup/unique.tsv')
    yield Scenario('phash-dedup', ['phash-dedup', 'unique.tsv', '-o', 'distinct.tsv', '--rejects', 'rejects.tsv'], ['distinct.tsv', 'rejects.tsv'])

    folder('phash-dedup-index', 'web', 'hash-dedup/unique.tsv')
    yield Scenario('phash-dedup-index', ['phash-dedup', '--index', 'kept/index', '--sheet', 'sheet.html', 'unique.tsv', '-o', 'distinct.tsv',
                                         '--rejects', 'rejects.tsv'], ['distinct.tsv', 'rejects.tsv', 'sheet.html'],
                   ['kept'], prepare=lambda where: os.makedirs(os.path.join(where, 'kept'), exist_ok=True))

    folder('phash-dedup-blocked', 'phash-dedup/distinct.tsv')
    folder('phash-dedup-blocked/template', 'web')
    with open(os.path.join(work, 'phash-dedup', 'distinct.tsv')) as f:
        rows = [line.split('\t') for line in f.read().splitlines()]
    with open(os.path.join(work, 'phash-dedup-blocked', 'list'), 'w') as f:
        f.write('%s\n%s\n' % (rows[1][rows[0].index('xxh128')], rows[4][rows[0].index('pdq')]))
    yield Scenario('phash-dedup-blocked', ['phash-dedup', '--root', 'whole', '--blocklist', 'list', '--delete-blocked', 'whole/store', 'distinct.tsv', '-o', 'out.tsv'],
                   ['out.tsv'], ['whole'], prepare=from_template, ignore=['audit', 'takedown'])

    folder('train-test-split', 'phash-dedup/distinct.tsv')
    yield Scenario('train-test-split', ['train-test-split', '--val', '0.2', '--test', '0.2', 'distinct.tsv', '-o', 'split.tsv'], ['split.tsv'])

    folder('augment', 'web', 'train-test-split/split.tsv')
    yield Scenario('augment', ['augment', '--spec', 'flip,shift=0.1', '--variants', '1', '--out', 'made', 'split.tsv', '-o', 'augmented.tsv',
                               '--rejects', 'rejects.tsv'], ['augmented.tsv', 'rejects.tsv'], ['made'])

    # An older set is there: it stays, or the new one takes its place.
    folder('pack', 'web', 'augment/augmented.tsv', 'augment/made')
    made('pack', 'pack', '--size', '8', 'augmented.tsv', '-o', 'older')
    yield Scenario('pack', ['pack', '--size', '16', 'augmented.tsv', '-o', 'shards', '--rejects', 'rejects.tsv'], ['rejects.tsv'], ['shards'], whole=['shards'],
                   prepare=lambda where: shutil.copytree(os.path.join(where, 'older'), os.path.join(where, 'shards')))

    folder('pack-append', 'web', 'augment/augmented.tsv', 'augment/made', 'train-test-split/split.tsv')
    made('pack-append', 'pack', '--size', '16', 'split.tsv', '-o', 'older')
    yield Scenario('pack-append', ['pack', '--size', '16', '--max-rejects', '0', '--rejects', 'rejects.tsv', '--append', 'augmented.tsv', '-o', 'shards'], ['rejects.tsv'], ['shards'],
                   listed=('shards/shard-', 'shards/index.tsv'),
                   prepare=lambda where: shutil.copytree(os.path.join(where, 'older'), os.path.join(where, 'shards')))

    folder('pack-tar', 'web', 'augment/augmented.tsv', 'augment/made', 'train-test-split/split.tsv')
    made('pack-tar', 'pack', '--size', '16', '--format', 'webdataset', 'split.tsv', '-o', 'older')
    yield Scenario('pack-tar', ['pack', '--size', '16', '--max-rejects', '0', '--rejects', 'rejects.tsv', '--format', 'webdataset', 'augmented.tsv', '-o', 'tars'], ['rejects.tsv'], ['tars'], whole=['tars'],
                   prepare=lambda where: shutil.copytree(os.path.join(where, 'older'), os.path.join(where, 'tars')))

    folder('embed', 'web', 'train-test-split/split.tsv')
    yield Scenario('embed', ['embed', '--base', model, '--device', 'ref', '-j1', '--size', '16', '--boundary-cache', 'f16', '--unlock-from', 'bn1', '--reduce', 'sqrt,pca:2',
                             'split.tsv', '-o', 'vectors', '--cache', 'cache', '--rejects', 'rejects.tsv'], ['rejects.tsv'], ['vectors'], ignore=['cache'])

    folder('feature-dedup', 'web', 'embed/vectors')
    yield Scenario('feature-dedup', ['feature-dedup', '-j1', '--features', 'vectors', '--distance', '950', 'vectors/rows.tsv', '-o', 'single.tsv', '--rejects', 'rejects.tsv',
                                     '--sheet', 'sheet.html'], ['single.tsv', 'rejects.tsv'])

    made_in_between = ['events', 'log.tsv', 'checkpoint', 'cache', 'run/fold-']
    folder('train', 'pack/shards')
    yield Scenario('train', ['train', '--shards', 'shards', '--base', model, '--phase', 'head', '--epochs', '2', '--batch', '4', '--threads', '1',
                             '--device', 'cpu', '--folds', '2', '--out', 'run', '--cache', 'cache'], [], ['run', 'cache'], slow=True,
                   ignore=made_in_between)

    fine = ['train', '--shards', 'shards', '--base', os.path.join(work, 'train/run/model'), '--phase', 'fine-tune', '--unlock-from', 'c1', '--epochs', '2', '--batch', '4',
            '--threads', '1', '--device', 'cpu', '--out', 'run', '--checkpoint-seconds', '0', '--schedule', 'constant']
    folder('train-fine', 'pack/shards')
    yield Scenario('train-fine', list(fine), [], ['run'], slow=True, ignore=made_in_between)

    # Two ranks, and the faults in the second: the first one must not wait for it for ever.
    if shutil.which('mpirun') and os.path.exists(os.path.join(bin_dir, 'winnow-mpi.so')):
        folder('train-ranks', 'pack/shards')
        # Open MPI's leaks are told by the names of its libraries, which takes whole backtraces.
        script = '[ "$OMPI_COMM_WORLD_RANK" = 1 ] || unset WINNOW_FAULT WINNOW_FAULT_COUNT; ' \
                 '[ -z "${ASAN_OPTIONS:-}" ] || export ASAN_OPTIONS="$ASAN_OPTIONS:fast_unwind_on_malloc=0"; exec "$@"'
        yield Scenario('train-ranks', [shutil.which('mpirun')] + (['--allow-run-as-root'] if os.geteuid() == 0 else []) +
                       ['--oversubscribe', '--bind-to', 'none', '-np', '2', 'sh', '-c', script, 'sh', os.path.join(bin_dir, 'train')] + fine[1:] + ['--sync-bn'],
                       [], ['run'], slow=True, ignore=made_in_between, hook_only=True)

    folder('eval', 'pack/shards')
    yield Scenario('eval', ['eval', '--model', os.path.join(work, 'train/run/model'), '--shards', 'shards', '--split', 'all', '--out', 'report'], [], ['report'], slow=True)

    # With --memory: what fails there costs time, never a row.
    folder('eval-memory', 'pack/shards')
    yield Scenario('eval-memory', ['eval', '--model', os.path.join(work, 'train/run/model'), '--shards', 'shards', '--split', 'all', '--no-report', '--memory', 'kept/scored.tsv',
                                   '--out', 'report'], [], ['report'], slow=True, prepare=lambda where: shutil.rmtree(os.path.join(where, 'kept'), ignore_errors=True))

    folder('eval-pictures', 'web', 'validate/valid.tsv')
    yield Scenario('eval-pictures', ['eval', '--model', os.path.join(work, 'train/run/model'), '--shards', 'valid.tsv', '--split', 'all', '-v', '--out', 'report'],
                   [], ['report'], slow=True)

    folder('mine-errors', 'train/run/oof.tsv')
    yield Scenario('mine-errors', ['mine-errors', '--predictions', 'oof.tsv', '--filter', 'predicted_neq_given', '-o', 'suspects.tsv', '--matrices', 'matrices.tsv'],
                   ['suspects.tsv', 'matrices.tsv'])

    folder('eval-predictions', 'train/run/oof.tsv')
    with open(os.path.join(work, 'train', 'run', 'oof.tsv')) as f:
        ids = [line.split('\t')[0] for line in f.read().splitlines()[1:]]
    with open(os.path.join(work, 'eval-predictions', 'parts.tsv'), 'w') as f:
        f.write('id\tslice\n' + ''.join('%s\t%s\n' % (id, 'ab'[i % 2]) for i, id in enumerate(ids)))
    yield Scenario('eval-predictions', ['eval', '--predictions', 'oof.tsv', '--slices', 'parts.tsv', '--min-slice', '1', '--view', 'round=discs',
                                        '--no-report', '--out', 'report'], [], ['report'])
    folder('eval-compare', 'train/run/oof.tsv')
    yield Scenario('eval-compare', ['eval', '--compare', 'oof.tsv', 'oof.tsv', '--view', 'round=discs', '--gate', 'accuracy >= old', '--no-report',
                                    '--out', 'report'], [], ['report'])

    folder('mine-errors-review', 'web', 'train/run/oof.tsv', 'augment/augmented.tsv', 'augment/made')
    yield Scenario('mine-errors-review', ['mine-errors', '--predictions', 'oof.tsv', '--manifest', 'augmented.tsv', '--filter', 'predicted_neq_given', '-o', 'suspects.tsv',
                                          '--pairs', 'pairs.tsv', '--summary', 'summary.tsv', '--review', 'review.html'],
                   ['suspects.tsv', 'pairs.tsv', 'summary.tsv', 'review.html'])

    folder('relabel', 'validate/valid.tsv')
    with open(os.path.join(work, 'relabel', 'decisions.tsv'), 'w') as f:
        f.write('id\tdecision\tlabel\treviewer\tdate\n')
        lines = open(os.path.join(work, 'phash-dedup', 'distinct.tsv')).read().splitlines()
        at = lines[0].split('\t').index('xxh128')
        f.write('%s\trelabel\tdiscs\ttest\t2026-01-01\n' % lines[1].split('\t')[at])
    folder('relabel', 'phash-dedup/distinct.tsv')
    yield Scenario('relabel', ['relabel', '--decisions', 'decisions.tsv', 'distinct.tsv', '-o', 'out.tsv', '--stats', 'stats.tsv', '--conflicts', 'conflicts.tsv'],
                   ['out.tsv', 'stats.tsv', 'conflicts.tsv'])

    folder('classify', 'web')
    yield Scenario('classify', ['classify', '--model', os.path.join(work, 'train/run/model'), '--device', 'cpu', 'web'], slow=True)

    folder('classify-watch')
    shutil.copytree(os.path.join(work, 'web', 'discs'), os.path.join(work, 'classify-watch', 'template', 'inbox'))
    yield Scenario('classify-watch', ['classify', '--model', os.path.join(work, 'train/run/model'), '--device', 'cpu', '--watch', 'whole/inbox', '--once', '--hand-off', 'whole/done',
                                      '-o', 'log'], [], ['whole'], slow=True, prepare=from_template)

    folder('export')
    with open(os.path.join(work, 'export', 'sources.tsv'), 'w') as f:
        f.write('kind\tname\tpictures\tpictures_share\tbytes\nall\t\t1\t1\t9\ndomain\ta.example\t1\t1\t9\n')
    yield Scenario('export', ['export', '--model', os.path.join(work, 'train/run/model'), '--to', 'tfjs', '--quantize', 'uint8', '--sources', 'sources.tsv', '-o', 'out'], [], ['out'], slow=True)

    for kind, output in (('onnx', 'model.onnx'), ('keras', 'model.h5')):
        folder('export-' + kind)
        yield Scenario('export-' + kind, ['export', '--model', os.path.join(work, 'train/run/model'), '--to', kind, '-o', output], [output], slow=True)
    npm = os.path.join(top, 'build', 'npm', 'node_modules')
    if os.path.isdir(os.path.join(npm, '@tensorflow')):
        folder('export-demo')
        yield Scenario('export-demo', ['export', '--model', os.path.join(work, 'train/run/model'), '--to', 'demo', '--npm', npm, '--web', os.path.join(top, 'web', 'demo'), '-o', 'site'],
                       [], ['site'], slow=True, whole=['site'])

    folder('report-sources', 'validate/valid.tsv')
    yield Scenario('report-sources', ['report-sources', 'valid.tsv', '-o', 'sources.tsv', '--croissant', 'croissant.json', '--name', 'a', '--description', 'b', '--license', 'c',
                                      '--cite-as', 'd', '--published', '2026-01-31', '--set-version', '1.0'], ['sources.tsv', 'croissant.json'])

    folder('manifest', 'validate/valid.tsv')
    yield Scenario('manifest', ['manifest', 'cat', 'valid.tsv', 'valid.tsv', '-o', 'out.tsv'], ['out.tsv'])

    folder('manifest-split', 'validate/valid.tsv')
    yield Scenario('manifest-split', ['manifest', 'split', '--parts', '2', 'valid.tsv', 'part-'], ['part-000.tsv', 'part-001.tsv'])
    folder('manifest-merge', 'manifest-split/part-000.tsv', 'manifest-split/part-001.tsv')
    yield Scenario('manifest-merge', ['manifest', 'merge', 'part-000.tsv', 'part-001.tsv', '-o', 'out.tsv'], ['out.tsv'])

    folder('winnow', 'validate/valid.tsv')
    yield Scenario('winnow', ['winnow', 'manifest', 'cat', 'valid.tsv', '-o', 'out.tsv'], ['out.tsv'])

    folder('demo-corpus')
    shutil.copytree(os.path.join(work, 'web'), os.path.join(work, 'demo-corpus', 'packages', 'p'))
    with open(os.path.join(work, 'demo-corpus', 'sources.tsv'), 'w') as f:
        f.write('package\tglob\tlabel\n' + ''.join('p\t%s/*.png\t%s\n' % (kind, kind) for kind in ('discs', 'noise', 'stripes')))
    yield Scenario('demo-corpus', ['demo-corpus', '--packages', 'packages', '--sources', 'sources.tsv', '--side', '32', '--out', 'corpus'], [], ['corpus'])

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

    yield Scenario('purge', ['purge', '--store', 'whole/store', 'whole'], [], ['whole'], prepare=from_template)
