#!/usr/bin/env python3
"""Commands under faults: killed processes, full disks, failing reads, no memory, no threads, flipped bits, two writers.

    faults.py --atrous PROGRAM --shim fault_shim.so [--full] [--only NAME] [--seed N]

Every run must end by itself with a documented exit code that fits the fault, never by a signal or with 1. What it then says is
done must be right, byte for byte; what it has not done must be as before, and the same command without faults must bring it to
the right end. Prints a line per scenario and every finding; exits 1 if there is one. Needs the standard library only.
"""
import argparse
import collections
import filecmp
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

OK, INTERNAL, CONFIG, DATA, CHECKPOINT, MEMORY, IO = 0, 1, 3, 4, 5, 6, 8
# The codes that fit a fault. A config or checkpoint that cannot be read has the code of its kind.
EXPECTED = {'memory': {OK, MEMORY}, 'thread': {OK, MEMORY}, 'io': {OK, CONFIG, DATA, CHECKPOINT, IO}}
PATIENCE = 60  # seconds after which a run hangs


class Faults:
    def __init__(self, options, work):
        self.atrous, self.shim = os.path.abspath(options.atrous), os.path.abspath(options.shim)
        self.work, self.random, self.findings, self.made = work, random.Random(options.seed), [], itertools.count()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith('ATROUS_')}
        self.environment['ATROUS_THREADS'] = '1'

    def folder(self, name):
        path = f'{self.work}/{name}{next(self.made)}'
        os.makedirs(path)
        return path

    def run(self, arguments, **variables):
        """Exit code (minus the signal that ended it, 'hang' if nothing did) and stderr."""
        try:
            p = subprocess.run([self.atrous] + arguments, env=dict(self.environment, **variables), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return 'hang', ''
        return p.returncode, p.stderr.decode(errors='replace')

    def must(self, arguments, **variables):
        code, err = self.run(arguments, **variables)
        if code != OK:
            sys.exit(f'without faults, exit code {code}: atrous {" ".join(arguments)}\n{err}')

    def find(self, what, err=''):
        self.findings.append(what + ''.join('\n      ' + line for line in err.strip().splitlines()[-2:]))

    def sample(self, total, count):
        """So many of the numbers 1 ... total, spread over all of them, the first one included."""
        if count >= total:
            return list(range(1, total + 1))
        return sorted({1} | {1 + int((i + self.random.random()) * total / count) for i in range(1, count)})


def names_of(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder) for d, _, files in os.walk(folder) for f in files)


def lines_of(path):
    """metrics.jsonl without what a clock says."""
    with open(path) as file:
        lines = [json.loads(line) for line in file]
    for line in lines:
        for key in ('images_per_second', 'data_wait_percent', 'seconds'):
            line.pop(key, None)
    return lines


def compared(name):
    """Files that two runs write alike: no clock, no path of the run, no process number in them."""
    return name.endswith(('.safetensors', '.png', '.jsonl', '.txt')) or os.path.basename(name) in (
        'best.json', 'config.json', 'predictions.json', 'instances.json')


def differences(reference, folder):
    names = [n for n in names_of(reference) if compared(n)]
    there = set(names_of(folder))
    different = [n for n in names if n not in there]
    for name in (n for n in names if n in there):
        a, b = f'{reference}/{name}', f'{folder}/{name}'
        same = lines_of(a) == lines_of(b) if name.endswith('.jsonl') else filecmp.cmp(a, b, False)
        if not same:
            different.append(name)
    return different


def torn(reference, folder):
    """Files under their final names that are not what the command writes. Those of a run change as it goes on."""
    final = [n for n in names_of(folder) if compared(n) and not n.endswith('.jsonl') and os.path.exists(f'{reference}/{n}')]
    return [n for n in final if not filecmp.cmp(f'{reference}/{n}', f'{folder}/{n}', False)]


def leftovers(folder):
    return [n for n in names_of(folder) if '.tmp' in n or 'probe' in n or os.path.basename(n).startswith('.atrous-')]


class Command:
    """A command whose results lie in a folder; the words {out} name it."""

    def __init__(self, name, words, again=None):
        self.name, self.words, self.again = name, words, again  # `again`: words that bring an interrupted one to its end

    def into(self, folder, again=False):
        words = self.words + (self.again or []) if again else self.words
        return [w.replace('{out}', folder) for w in words]


def prepare(faults):
    """A set of small pictures, a trained network, and the commands to be disturbed."""
    base = faults.folder('base')
    faults.must(['data', 'make-shapes', '--out', f'{base}/set', '--train', '4', '--val', '2', '--size', '32x32', '--classes', '3'])
    config = {'model': {'name': 'unet', 'num_classes': 3, 'base_width': 4, 'depth': 2},
              'data': {'dataset': 'list', 'root': f'{base}/set', 'label_map': 'identity', 'batch_size': 2, 'workers': 1},
              'optimizer': {'name': 'adamw', 'lr': 0.01}, 'seed': 3,
              'train': {'max_steps': 6, 'validate_every': 3, 'checkpoint_every': 2, 'log_every': 1, 'sample_images': 1,
                        'ema_decay': 0.9}}
    with open(f'{base}/config.json', 'w') as file:
        json.dump(config, file)
    faults.must(['train', '--config', f'{base}/config.json', '--out', f'{base}/run'])
    weights = f'{base}/run/checkpoints/best.safetensors'
    return weights, {c.name: c for c in [
        Command('train', ['train', '--config', f'{base}/config.json', '--out', '{out}/run'], ['--resume']),
        Command('eval', ['eval', '--weights', weights, '--json', '{out}/scores.txt', '--report', '{out}/report']),
        Command('predict', ['predict', '--weights', weights, '--out', '{out}/pictures', f'{base}/set/images'], ['--resume']),
        Command('export-weights', ['export-weights', '--weights', weights, '--output', '{out}/w.safetensors']),
        Command('make-shapes', ['data', 'make-shapes', '--out', '{out}/set', '--train', '2', '--val', '1', '--size', '32x32'])]}


def scenario_calls(faults, command, kind, points, from_then_on):
    """The n-th call of a kind fails, alone or with all later ones, for n over the whole command."""
    reference, counted = faults.folder('reference'), faults.folder('counted')
    faults.must(command.into(reference))
    faults.must(command.into(counted), LD_PRELOAD=faults.shim, FAULT_KIND=kind, FAULT_COUNT=counted + '/calls')
    with open(counted + '/calls') as file:
        total = int(file.read())
    if total == 0:
        sys.exit(f'{command.name}: the shim counts no calls of kind {kind}')
    codes = collections.Counter()

    def disturb(n):
        out = faults.folder('o')
        code, err = faults.run(command.into(out), LD_PRELOAD=faults.shim, FAULT_KIND=kind, FAULT_AT=str(n),
                               FAULT_FROM=str(int(from_then_on)))
        what = f'{command.name}: {kind} call {n} of {total}{" and later" if from_then_on else ""}: exit code {code}'
        codes[code] += 1
        if code not in EXPECTED[kind]:
            faults.find(what, err)
        elif code != OK and 'error:' not in err:
            faults.find(what + ' without a message', err)
        if code == OK and 'warning' not in err and differences(reference, out):
            faults.find(f'{what}, but these differ: {differences(reference, out)}', err)
        if command.name != 'train' and torn(reference, out):
            faults.find(f'{what}, torn: {torn(reference, out)}', err)
        finish(out, what, lost_lines='metrics.jsonl cannot be written' in err)
        shutil.rmtree(out)

    def finish(out, what, lost_lines):
        if command.name == 'make-shapes':  # writes into new folders only
            shutil.rmtree(out + '/set', ignore_errors=True)
        code, err = faults.run(command.into(out, again=True))
        different = [n for n in differences(reference, out) if not (lost_lines and n.endswith('.jsonl'))]
        if code != OK or different:
            faults.find(f'{what}; the next run: exit code {code}, these differ: {different}', err)
        elif leftovers(out):
            faults.find(f'{what}; the next run leaves {leftovers(out)}')

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(disturb, faults.sample(total, points)))
    return f'{sum(codes.values())} of {total} calls, exit codes {dict(sorted(codes.items(), key=str))}'


def scenario_kill(faults, command, kills):
    """kill -9 at random moments of a training, which then goes on: the same bytes as without kills."""
    reference = faults.folder('reference')
    start = time.time()
    faults.must(command.into(reference))
    whole, done, runs = time.time() - start, 0, 0
    while done < kills:
        out, runs = faults.folder('killed'), runs + 1
        finished = False
        while not finished:
            p = subprocess.Popen([faults.atrous] + command.into(out, again=True), env=faults.environment,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                err = p.communicate(timeout=faults.random.uniform(0, whole) if done < kills else PATIENCE)[1]
                finished = True
            except subprocess.TimeoutExpired:
                p.send_signal(signal.SIGKILL)
                p.communicate()
                done += 1
        if p.returncode != OK:
            faults.find(f'kill: exit code {p.returncode} after a kill', err.decode(errors='replace'))
        elif differences(reference, out) or leftovers(out):
            faults.find(f'kill: differs in {differences(reference, out)}, leaves {leftovers(out)}')
    return f'{done} kills, {runs} runs'


def scenario_flips(faults, weights, count):
    """A bit of a checkpoint is flipped, or the file is cut or longer: refused as a checkpoint."""
    with open(weights, 'rb') as file:
        good = file.read()
    header = 8 + int.from_bytes(good[:8], 'little')
    changed = []
    for i in range(count):
        bit = faults.random.randrange(8 * (header if i % 2 else len(good)))
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.append((f'bit {bit}', bytes(flipped)))
    for size in (0, 1, 7, 8, 9, header - 1, header, header + 1, len(good) // 2, len(good) - 1):
        changed.append((f'the first {size} bytes', good[:size]))
    changed += [('one byte more', good + b'\0'), ('100 bytes more', good + b'x' * 100)]
    codes = collections.Counter()

    def disturb(change):
        what, content = change
        out = faults.folder('flip')
        with open(out + '/c.safetensors', 'wb') as file:
            file.write(content)
        code, err = faults.run(['export-weights', '--weights', out + '/c.safetensors', '--output', out + '/w.safetensors'])
        codes[code] += 1
        if code != CHECKPOINT or os.path.exists(out + '/w.safetensors'):
            faults.find(f'flips: {what}: exit code {code}', err)
        shutil.rmtree(out)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(disturb, changed))
    return f'{len(changed)} files, exit codes {dict(codes)}'


def scenario_writers(faults, weights, rounds):
    """Several commands write one file at once: all succeed, and it is that of one of them."""
    out, contents = faults.folder('writers'), set()
    sources = [weights, os.path.dirname(weights) + '/last.safetensors']
    for i, source in enumerate(sources):
        faults.must(['export-weights', '--weights', source, '--output', f'{out}/{i}.safetensors'])
        with open(f'{out}/{i}.safetensors', 'rb') as file:
            contents.add(file.read())
    for _ in range(rounds):
        running = [subprocess.Popen([faults.atrous, 'export-weights', '--weights', s, '--output', f'{out}/w.safetensors'],
                                    env=faults.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for s in sources * 2]
        for p in running:
            err = p.communicate()[1]
            if p.returncode != OK:
                faults.find(f'writers: exit code {p.returncode}', err.decode(errors='replace'))
        with open(f'{out}/w.safetensors', 'rb') as file:
            if file.read() not in contents:
                faults.find('writers: the file is that of none of them')
    if leftovers(out):
        faults.find(f'writers: left {leftovers(out)}')
    return f'{rounds} rounds of 4 writers'


def scenario_runs(faults, command, rounds):
    """Two trainings start in one folder at once: one is refused, the other ends as alone."""
    reference = faults.folder('reference')
    faults.must(command.into(reference))
    for _ in range(rounds):
        out = faults.folder('runs')
        running = [subprocess.Popen([faults.atrous] + command.into(out), env=faults.environment, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE) for _ in range(2)]
        ends = [(p.communicate()[1].decode(errors='replace'), p.returncode) for p in running]
        codes = sorted(code for _, code in ends)
        if codes not in ([OK, IO], [OK, 2]) or differences(reference, out):  # 2: the other one had ended by then
            faults.find(f'runs: exit codes {codes}, these differ: {differences(reference, out)}', ends[0][0] + ends[1][0])
    return f'{rounds} pairs'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--atrous', required=True)
    parser.add_argument('--shim', required=True)
    parser.add_argument('--full', action='store_true', help='ten times as many faults, for a night')
    parser.add_argument('--only', default='', help='scenarios whose name holds this')
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    many = 10 if options.full else 1
    with tempfile.TemporaryDirectory(prefix='atrous-faults-') as work:
        faults = Faults(options, work)
        weights, commands = prepare(faults)
        scenarios = [('kill', lambda: scenario_kill(faults, commands['train'], 10 * many)),
                     ('flips', lambda: scenario_flips(faults, weights, 60 * many)),
                     ('writers', lambda: scenario_writers(faults, weights, 5 * many)),
                     ('runs', lambda: scenario_runs(faults, commands['train'], 3 * many))]
        for kind, points in (('memory', 80), ('io', 60), ('thread', 40)):
            for command in commands.values():
                for later in (False, True):
                    if kind == 'thread' and (later or command.name != 'train'):
                        continue
                    scenarios.append((f'{kind} {command.name}{" from then on" if later else ""}',
                                      lambda c=command, k=kind, p=points, f=later: scenario_calls(faults, c, k, p * many, f)))
        chosen = [(name, work_of) for name, work_of in scenarios if options.only in name]
        if not chosen:
            sys.exit(f'no scenario is named like "{options.only}"')
        for name, work_of in chosen:
            start, before = time.time(), len(faults.findings)
            text = work_of()
            print(f'{name:<40} {text}; {len(faults.findings) - before} findings, {time.time() - start:.1f} s', flush=True)
        for finding in faults.findings[:200]:
            print('   ', finding)
        print(f'{len(faults.findings)} findings')
        return 1 if faults.findings else 0


if __name__ == '__main__':
    sys.exit(main())
