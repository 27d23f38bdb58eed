"""PyTorch files for the corpus, written without PyTorch: pickles, zip archives and the legacy stream."""
import io
import struct
import zipfile


def text(s):
    return b'X' + struct.pack('<I', len(s)) + s.encode()


def integer(n):
    return b'\x8a\x08' + struct.pack('<q', n)


def glob(module, name):
    return f'c{module}\n{name}\n'.encode()


def tuple_(*items):
    return b'(' + b''.join(items) + b't'


def call(function, *arguments):
    return function + tuple_(*arguments) + b'R'


def dict_(**items):
    return b'}(' + b''.join(text(k) + v for k, v in items.items()) + b'u'


def numbers(*values):
    return tuple_(*[integer(v) for v in values])


def storage(key, elements, kind='FloatStorage', module='torch'):
    return tuple_(text('storage'), glob(module, kind), text(key), text('cpu'), integer(elements)) + b'Q'


ORDERED = glob('collections', 'OrderedDict') + b')R'


def tensor(of, offset, shape, strides, *more):
    return call(glob('torch._utils', '_rebuild_tensor_v2'), of, integer(offset), numbers(*shape), numbers(*strides), b'\x89', ORDERED, *more)


def pickle(value):
    return b'\x80\x02' + value + b'.'


def values():
    """name: (value, bytes of the storages "0" and "1")"""
    whole = tensor(storage('0', 6), 0, (2, 3), (3, 1))
    typed = call(glob('torch._utils', '_rebuild_tensor_v3'), storage('0', 24, 'UntypedStorage', 'torch.storage'), integer(1), numbers(2, 3), numbers(1, 2), b'\x89', ORDERED,
                 glob('torch', 'float8_e4m3fn'))
    quantised = call(glob('torch._utils', '_rebuild_qtensor'), storage('0', 24, 'QInt8Storage'), integer(0), numbers(2), numbers(1), tuple_(glob('torch', 'per_tensor_affine')), b'\x89')
    namespace = glob('argparse', 'Namespace') + b')\x81' + dict_(a=integer(1)) + b'b'
    some = {'plain': dict_(w=whole), 'ordered': ORDERED + b'(' + text('w') + whole + b'u' + dict_(_metadata=ORDERED) + b'b', 'f8': dict_(w=typed), 'q': dict_(w=whole, q=typed),
            'views': dict_(a=whole, t=tensor(storage('0', 6), 0, (3, 2), (1, 3)), r=tensor(storage('0', 6), 5, (2, 2), (0, 0)), e=tensor(storage('0', 6), 6, (0, 2), (2, 1)),
                           s=tensor(storage('0', 6), 4, (), ()), both=tensor(storage('1', 12, 'HalfStorage'), 0, (12,), (1,))),
            'parameter': dict_(w=call(glob('torch._utils', '_rebuild_parameter'), whole, b'\x88', ORDERED)), 'quantised': dict_(w=quantised),
            'nested': dict_(epoch=integer(3), model=dict_(w=whole), args=namespace), 'two': dict_(model=dict_(w=whole), ema=dict_(w=whole)),
            'subclass': dict_(w=call(glob('torch._tensor', '_rebuild_from_type_v2'), glob('torch._utils', '_rebuild_tensor_v2'), glob('torch', 'Tensor'),
                                     tuple_(storage('0', 6), integer(0), numbers(6), numbers(1), b'\x89', ORDERED), dict_(a=integer(1)))),
            'negative': dict_(w=tensor(storage('0', 6), 0, (6,), (1,), dict_(neg=b'\x88')))}
    bad = {'system': call(glob('os', 'system'), text('id')), 'stack': text('os') + text('system') + b'\x93', 'outside': dict_(w=tensor(storage('0', 6), 3, (2, 3), (3, 1))),
           'huge': dict_(w=tensor(storage('0', 6), 0, (1 << 40,), (0,))), 'overflow': dict_(w=tensor(storage('0', 6), 0, (1 << 62, 8), (1 << 62, 1 << 62))),
           'size': dict_(w=tensor(storage('0', 7), 0, (1,), (1,))), 'marks': b'(' * 1500, 'long': b'\x8b\xff\xff\xff\x7f', 'text': b'\x8d' + b'\xff' * 8, 'memo': b'Nr\xff\xff\xff\xff',
           'build': whole + b'}b', 'cycle': b']q\x00h\x00a', 'inst': b'(ios\nsystem\n', 'empty': b'}'}
    return some, bad


def archive(value, prefix='a', packed=False, more=()):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as z:
        for name, content in [('data.pkl', pickle(value)), ('byteorder', b'little'), ('data/0', bytes(range(24))), ('data/1', bytes(range(24))), ('version', b'3\n'), *more]:
            z.writestr(zipfile.ZipInfo(f'{prefix}/{name}'), content, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return out.getvalue()


def legacy(value, keys=('0', '1'), size=6):
    magic = b'\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19'
    facts = dict_(protocol_version=integer(1001), little_endian=b'\x88')
    data = b''.join(struct.pack('<q', size) + bytes(range(24)) for _ in keys)
    return b''.join(map(pickle, (magic, integer(1001), facts, value, b'](' + b''.join(map(text, keys)) + b'e'))) + data


def files():
    """(name, input of the harness)"""
    some, bad = values()
    for name, value in {**some, **bad}.items():
        content = pickle(value)
        yield f'made_{name}', b'\1' + struct.pack('<H', len(content)) + content + bytes(range(24))
    whole = archive(some['plain'])
    yield 'zip', b'\0' + whole
    yield 'zip_views', b'\0' + archive(some['views'], 'model')
    yield 'packed', b'\0' + archive(some['plain'], packed=True)
    yield 'script', b'\0' + archive(some['plain'], more=[('code/__torch__.py', b'')])
    yield 'cut', b'\0' + whole[:-9]
    yield 'twice', b'\0' + whole + whole
    yield 'legacy', b'\0' + legacy(dict_(w=tensor(storage('0', 6), 0, (2, 3), (3, 1))), keys=('0',))
    yield 'legacy_more', b'\0' + legacy(some['plain'])
    yield 'legacy_size', b'\0' + legacy(some['plain'], keys=('0',), size=1 << 61)
    yield 'pickle', b'\0' + pickle(some['plain'])
    yield 'nothing', b''


WORDS = ['PK\x03\x04', 'PK\x01\x02', 'PK\x05\x06', 'PK\x06\x06', 'PK\x06\x07', 'ctorch._utils\n_rebuild_tensor_v2\n', 'ctorch\nFloatStorage\n', 'ctorch\nHalfStorage\n',
         'ccollections\nOrderedDict\n', 'ctorch._utils\n_rebuild_parameter\n', 'data.pkl', 'data/0', 'cpu', 'storage', '\x8a\x08', 'tR', 'h\x00', 'q\x00', ')R']
