#!/usr/bin/env python3
"""make_corpus.py OUT: writes a seed corpus for every fuzz harness into OUT/corpus/<harness>/ and dictionaries into OUT/dictionaries/.

The inputs are small and made here; each harness's source says what its bytes mean. Configs and the dictionary of their keys come from the
repository's own configs/ and docs/config.md, so new keys are known without a change here.
"""
import json
import pathlib
import re
import shutil
import struct
import sys

import corpus_pictures as p
import corpus_pytorch

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Corpus:
    def __init__(self, out):
        self.out = out

    def add(self, harness, name, content):
        folder = self.out / 'corpus' / harness
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def dictionary(self, harness, words):
        folder = self.out / 'dictionaries'
        folder.mkdir(parents=True, exist_ok=True)
        quoted = [''.join(c if c.isprintable() and c not in '"\\' else f'\\x{ord(c):02x}' for c in w) for w in words]
        (folder / f'{harness}.dict').write_text(''.join(f'"{w}"\n' for w in quoted if w))


def pictures(corpus):
    for name, content in p.pictures():
        # Turn, keep alpha, keep 16 bits; read again without the last byte, and as a half.
        for cut in {max(len(content) - 1, 0), len(content) // 2}:
            corpus.add('image', f'keep_{cut}_{name}', bytes([0x15, 0]) + struct.pack('<H', cut) + content)
            if name.endswith(('.png', '.pgm', '.ppm', '.bmp')):
                corpus.add('label', f'{cut}_{name}', b'\0' + struct.pack('<H', cut) + content)
        corpus.add('image', f'drop_{name}', bytes([0x0a, 0, 0, 0]) + content)
        corpus.add('image', f'reject_{name}', bytes(4) + content)
    for color, depth in ((0, 1), (0, 8), (0, 16), (2, 8), (3, 2), (3, 8), (4, 8), (6, 16)):
        rows = p.png_rows(9, 7, depth, color, 0)
        palette = bytes([1, 2 ** min(depth, 6)]) + p.noise(3 * 2 ** min(depth, 6)) if color == 3 else b'\0'
        parts = bytes([9, 7, depth, color, 0, 0, 0]) + palette + rows
        corpus.add('image', f'parts_{color}_{depth}', bytes([0x15, 1, 0, 0]) + parts)
        corpus.add('label', f'parts_{color}_{depth}', bytes([1, 0, 0]) + parts)
    for name, elements in p.mat_elements().items():
        corpus.add('mat', name, b'\1' + elements)
        corpus.add('mat', name + '_packed', b'\3' + elements)
        corpus.add('mat', name + '_file', b'\0' + p.mat(elements))
    for orientation in range(10):
        for big_endian in (True, False):
            for kind in (3, 4):
                corpus.add('exif', f'{orientation}_{big_endian}_{kind}', p.exif(orientation, big_endian, kind))
    corpus.add('exif', 'two', p.exif(6, count=2))
    corpus.add('exif', 'bytes', p.exif(6, kind=1))
    corpus.add('exif', 'cut', p.exif(6)[:-5])
    # A block that makes the JPEG around it senseless: longer than a segment can say is impossible, empty is not.
    corpus.add('exif', 'empty', b'')


def texts(corpus):
    maps = ['0:0,1:1,255:ignore', '0:ignore,1-150:0', '#ff0000:0,#000000:ignore', 'identity', ' 3 : 1 , 4-5:0', '0:7', '0:0,0:1', '65535:0', '', '5-2:0', '#12:0']
    for i, text in enumerate(maps):
        for classes in (2, 151, 255):
            corpus.add('label_map', f'{i}_{classes}', bytes([classes]) + text.encode())
    corpus.dictionary('label_map', ['ignore', 'identity', '#ff0000:', '255:ignore', '65535'])

    def matching(choice, entries, theirs, ours):
        return bytes([choice, len(entries), len(theirs), len(ours)]) + '\0'.join(entries + theirs + ours).encode()

    for i, (entries, theirs, ours) in enumerate(((['car:auto'], ['car', 'sky'], ['sky', 'auto']), ([], ['a', 'b'], ['b', 'a']), (['a:ignore', 'b:c'], ['a', 'b'], ['c']),
                                                 ([], ['class0', 'class1'], ['x', 'y']), (['a\\:b:c'], ['a:b'], ['c']), ([], ['a', 'a'], ['a', 'b']), ([], ['a'], ['b']),
                                                 (['a'], ['a'], ['a']), (['a:b', 'a:c'], ['a'], ['b']), ([], ['category 1', 'N/A'], ['N/A', 'category 1']))):
        for choice in range(4):
            corpus.add('class_map', f'{i}_{choice}', matching(choice, entries, theirs, ours))
    corpus.dictionary('class_map', ['\0', ':ignore', '\\:', 'class0', 'category 1', 'N/A', 'background'])

    sky = {'id': 0, 'name': 'sky', 'color': [1, 2, 3]}
    tables = [{'classes': [sky, {'id': 7, 'name': 'b'}], 'ignore_index': 255}, {'classes': [{'name': 'a'}]}, {'classes': [sky, sky]}, {'classes': []}, [],
              {'classes': [sky, {'id': 4, 'name': '\u00e9'}], 'ignore_index': 4}, {'classes': [{'name': 'a', 'color': [1, 2]}]}]
    for i, table in enumerate(tables):
        corpus.add('classes', f'{i}', json.dumps(table))
        corpus.add('sets', f'classes_{i}', b'\2' + json.dumps(table).encode())
    corpus.dictionary('classes', ['"classes":[', '"id":', '"name":', '"color":[', '"ignore_index":'])

    lists = ['a/b.png l/b.png\nc.png d.png\n', 'a.png\nb.png\n', '/SegNet/a.png /SegNet/b.png', '../a.png b.png\n', 'a.png b.png\na.png c.png\n', '', 'a.png b.png\r\n',
             'x/a.png l/a.png\ny/a.png l/b.png\n', '\ufeffa.png b.png\n', '"a b.png" "l b.png"\n', 'a b c\n', '"" b.png\n', 'a.png ""\n', '"a""b.png" "c d.png"\r\n\r\n', '"a.png b.png\n', '. b.png\n']
    for i, text in enumerate(lists):
        for choice in range(8):
            corpus.add('list', f'{i}_{choice}', bytes([choice]) + text.encode())
    corpus.add('list', 'utf16', b'\0' + 'a.png b.png\n'.encode('utf-16'))
    for i, text in enumerate(('a\nb\n', 'a\n', 'c\n', 'a\na\n', '')):
        corpus.add('sets', f'voc_{i}', b'\0' + text.encode())
    for i, text in enumerate(('images/a.png images/b.png\n', 'images/a.png images/a.png\nimages/b.png images/b.png\n', 'images/c.png images/b.png\n')):
        corpus.add('sets', f'list_{i}', b'\1' + text.encode())

    crf = ['iterations=10,gaussian_weight=3', 'preset=deeplab,iterations=5', 'bilateral_xy=30:100:10,bilateral_rgb=3:6:1', 'normalization=symmetric,spatial=exact',
           'iterations=-1', 'gaussian_xy=1e-300', 'bilateral_xy=1:1e9:1e-9', 'x=1', '', 'iterations=1,iterations=2']
    for i, text in enumerate(crf):
        corpus.add('crf', f'{i}', text)
    corpus.dictionary('crf', ['iterations=', 'gaussian_weight=', 'gaussian_xy=', 'bilateral_weight=', 'bilateral_xy=', 'bilateral_rgb=', 'normalization=', 'spatial=',
                              'preset=', 'symmetric', 'exact', '1e308', ':'])

    logs = ['{"step": 1, "loss": 0.5}\n{"step": 2, "lo', '[1, 2.5, -3e-7, true, null, "a\\u00e9\\n"]', '{"a": {"b": [[], {}]}}', '{"a": 1, "a": 2}', '1e999',
            '9223372036854775808', '[' * 40 + ']' * 40]
    for i, text in enumerate(logs):
        corpus.add('json', f'{i}', text)


def coco(corpus):
    images = [{'id': 1, 'file_name': 'a.jpg', 'height': 20, 'width': 30}, {'id': 2, 'file_name': 'b.jpg', 'height': 10, 'width': 10}]
    categories = [{'id': 1, 'name': 'x'}, {'id': 3, 'name': 'y'}]
    square = [[1, 2, 11, 2, 11, 10, 1, 10]]
    runs = {'size': [10, 10], 'counts': [3, 40, 57]}
    one = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 10, 8], 'area': 80, 'iscrowd': 0, 'segmentation': square}
    crowd = {'id': 2, 'image_id': 2, 'category_id': 3, 'bbox': [0, 0, 5, 5], 'area': 25, 'iscrowd': 1, 'segmentation': runs}
    text = {'id': 0, 'image_id': 2, 'category_id': 3, 'bbox': [0, 0, 5.5, 5], 'area': 25.5, 'segmentation': {'size': [10, 10], 'counts': '3X1i1'}}
    boxes = [{'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 10, 8.5], 'score': .9}, {'image_id': 2, 'category_id': 3, 'bbox': [0, 0, 6, 5], 'score': .5}]
    masks = [dict(boxes[0], segmentation=dict(runs, size=[20, 30], counts=[3, 40, 557])), dict(boxes[1], segmentation=runs)]
    good = {'info': {'a': [1, {}]}, 'images': images, 'categories': categories, 'annotations': [one, crowd]}

    def changed(**fields):
        return dict(good, annotations=[{k: v for k, v in dict(one, **fields).items() if v is not None}])

    truths = {'good': good, 'text': dict(good, annotations=[one, text]), 'no_bbox': changed(bbox=None), 'no_area': changed(area=None),
              'empty': changed(segmentation=[[]]), 'no_mask': changed(segmentation=None), 'text_ids': changed(id='1', image_id='1', category_id='1'),
              'rle_in_list': dict(good, annotations=[dict(crowd, segmentation=[runs])]), 'odd': changed(segmentation=[[1, 2, 3, 4, 5]]),
              'few': changed(segmentation=[[1, 2, 3, 4]]), 'far': changed(segmentation=[[1, 2, 1e300, 4, 5, 6]]), 'negative': changed(bbox=[0, 0, -1, 1]),
              'unknown': changed(image_id=9), 'twice': dict(good, annotations=[one, one]), 'no_images': {'annotations': []}, 'list': [one],
              'long_runs': dict(good, annotations=[dict(crowd, segmentation={'size': [10, 10], 'counts': [1 << 62, 1 << 62]})]), 'none': dict(good, annotations=[])}
    results = {'boxes': boxes, 'masks': masks, 'none': [], 'object': {'images': images, 'annotations': boxes}, 'only_masks': [
        {k: v for k, v in m.items() if k != 'bbox'} for m in masks], 'exchanged': {
            'images': images, 'annotations': boxes, 'categories': [{'id': 1, 'name': 'y'}, {'id': 3, 'name': 'x'}]}, 'gaps': {
                'images': [], 'annotations': boxes, 'categories': [{'id': 1, 'name': 'N/A'}, {'id': 3, 'name': 'N/A'}]}, 'others': {
                    'images': [], 'annotations': boxes, 'categories': [{'id': 1, 'name': 'x'}, {'id': 3, 'name': 'z'}]}, 'infinite': [dict(boxes[0], score=1e308)] * 3, 'no_score': [{'image_id': 1}]}
    for name, truth in truths.items():
        for kind, result in results.items() if name in ('good', 'text', 'no_bbox') else [('boxes', boxes)]:
            corpus.add('coco', f'{name}_{kind}', json.dumps(truth) + '\0' + json.dumps(result))
        corpus.add('sets', f'coco_{name}', b'\3' + json.dumps(truth).encode())
    corpus.add('coco', 'cut', json.dumps(good)[:-30] + '\0[]')
    corpus.add('coco', 'nan', json.dumps(changed(area=float('nan'))) + '\0[]')
    words = ['"images":[', '"annotations":[', '"categories":[', '"segmentation":', '"counts":', '"size":[', '"bbox":[', '"iscrowd":1', '"score":', '"area":',
             '"image_id":', '"category_id":', '"height":', '"width":', '"file_name":', '1e308', '268435456', '9223372036854775807', '\0']
    corpus.dictionary('coco', words)
    corpus.dictionary('sets', words[:-1])


def masks(corpus):
    head = struct.pack('<HH', 10, 12)
    for choice in (0, 8):
        for i, runs in enumerate(([3, 7, 20, 30, 60], [0, 120], [120], [3, 0, 7, 110], [121], [1, 2], [-1, 121], [1 << 62, 1 << 62])):
            if choice or max(runs) < 65536 and min(runs) >= 0:
                corpus.add('rle', f'{choice}_{i}', bytes([choice]) + head + struct.pack(f'<{len(runs)}{"q" if choice else "H"}', *runs))
    for i, text in enumerate(('3d3', '0h3', 'h3', '3X1i1', 'oooooooooooooooooooo', '', '3d3\n', '1^', '3002K5K5P1')):
        corpus.add('rle', f'text_{i}', bytes([1]) + head + text.encode())
    corpus.add('rle', 'tall', bytes([3]) + bytes(4) + struct.pack('<q', 1 << 40) + b'0')
    for i, corners in enumerate(([50, 50, 400, 100, 300, 480], [0, 0, 500, 0, 500, 600, 0, 600], [-500, -500, 900, 30, 30, 900], [i * 977 % 1200 - 200 for i in range(24)], [1, 2, 3],
                                 [25, 25] * 5)):
        for choice in (0, 1):
            corpus.add('polygon', f'{i}_{choice}', bytes([choice, 10, 12]) + struct.pack(f'<{len(corners)}h', *corners))
    for i, corners in enumerate(([1.5, 2, 9, 3.3, 4, 8], [1e6, 0, 0, 1e6, -1e6, 5], [float('inf'), 0, 1, 1, 2, 2], [float('nan')] * 6, [0.1, 0.3, 0.1, 0.3, 0.2, 0.1])):
        corpus.add('polygon', f'real_{i}', bytes([2, 10, 12]) + struct.pack(f'<{len(corners)}d', *corners))


def weights(corpus):
    def file(header, body=b''):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack('<Q', len(text)) + text + body

    for kind, size in (('F32', 4), ('F16', 2), ('BF16', 2), ('F64', 8), ('I64', 8), ('I32', 4), ('U8', 1), ('BOOL', 1), ('F4', 1), ('I8', 1)):
        two = {'t': {'dtype': kind, 'shape': [2, 3], 'data_offsets': [0, 6 * size]}, 'e': {'dtype': kind, 'shape': [0, 9], 'data_offsets': [6 * size] * 2}}
        corpus.add('safetensors', kind, file(dict(two, __metadata__={'a': 'b'}), p.noise(6 * size)))
    t = {'dtype': 'U8', 'shape': [4], 'data_offsets': [0, 4]}
    bad = {'empty': {}, 'scalar': {'s': dict(t, dtype='F32', shape=[])}, 'hole': {'a': dict(t, shape=[3], data_offsets=[1, 4])}, 'overlap': {'a': t, 'b': t},
           'overflow': {'a': dict(t, shape=[1 << 62, 4])}, 'backwards': {'a': dict(t, data_offsets=[4, 0])}, 'no_text': {'a': t, '__metadata__': {'a': 1}}, 'lists': []}
    for name, header in bad.items():
        corpus.add('safetensors', name, file(header, b'abcd'))
    corpus.add('safetensors', 'twice', file(b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}', b'abcd'))
    corpus.add('safetensors', 'long_header', struct.pack('<Q', 1 << 60) + b'{}')
    corpus.add('safetensors', 'cut', file({'a': t}, b'abc'))
    corpus.dictionary('safetensors', ['"dtype":', '"shape":[', '"data_offsets":[', '"F32"', '"BF16"', '"F16"', '"I64"', '__metadata__', '18446744073709551615', '4611686018427387904'])

    config = '{"model":{"name":"unet","num_classes":2}}'
    classes = '[{"name":"a","color":[1,2,3]},{"name":"b","color":[4,5,6]}]'
    state = '{"step":1,"last_validation":0,"best_step":0,"stale_validations":0,"best":{"miou":0.5},"class_weights":[1,2]}'
    for choice in range(4):
        corpus.add('checkpoint', f'good_{choice}', bytes([choice]) + '\0'.join((config, classes, state)).encode())
    for name, parts in {'config': ('{', classes, state), 'classes': (config, '{}', state), 'colors': (config, '[{"name":"a","color":[300,-1,1e9]}]', state),
                        'state': (config, classes, '{"step":"x"}'), 'numbers': (config, classes, state.replace('"step":1', '"step":1.5'))}.items():
        corpus.add('checkpoint', name, b'\0' + '\0'.join(parts).encode())


def pytorch(corpus):
    for name, content in corpus_pytorch.files():
        corpus.add('pytorch', name, content)
    corpus.dictionary('pytorch', corpus_pytorch.WORDS)


def configs(corpus):
    for path in sorted((ROOT / 'configs').rglob('*.json')):
        corpus.add('config', f'{path.parent.name}_{path.name}', path.read_text())
    sets = ['optimizer.lr=0.1', 'train.losses=[{"name":"dice"}]', 'data.mean=1,2,3', 'eval.scales=[1,2]', 'model.num_classes=7', 'seed=4', 'expected={"miou":[0.5,0.1]}']
    start = '{"model": {"name": "unet"}}'
    corpus.add('config', 'set', '\0'.join([start] + sets))
    for i, text in enumerate(('{}', '[]', '{"model": {"nmae": "unet"}}', '{"seed": 1, "seed": 2}', '{"model": {"num_classes": 1e99}}', start + '\0seed', start + '\0optimizer.lr=x')):
        corpus.add('config', f'bad_{i}', text)
    page = (ROOT / 'docs/config.md').read_text()
    keys = set(re.findall(r'^\| `([^`]+)`', page, re.M))
    words = {part.replace('[]', '') for key in keys for part in key.split('.')} | {key + '=' for key in keys if '[]' not in key}
    words |= set(re.findall(r'"(\w+)"', page))
    extra = ['1e308', '-1', '9223372036854775807', '\0', 'null', 'true']
    for harness in ('config', 'checkpoint'):
        corpus.dictionary(harness, sorted(words) + extra)


def main():
    out = pathlib.Path(sys.argv[1])
    for folder in ('corpus', 'dictionaries'):
        shutil.rmtree(out / folder, ignore_errors=True)
    corpus = Corpus(out)
    for part in (pictures, texts, coco, masks, weights, pytorch, configs):
        part(corpus)


if __name__ == '__main__':
    main()
