"""Small pictures of every form that the readers know, written from the formats' descriptions, and some that they refuse."""
import struct
import zlib


def noise(count, seed=1):
    """Bytes that differ from one another."""
    out = bytearray()
    for i in range(count):
        seed = (seed * 1103515245 + 12345 + i) & 0x7FFFFFFF
        out.append(seed >> 16 & 255)
    return bytes(out)


# ---- PNG

def chunk(kind, body):
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def png(width, height, depth, color, rows, extra=b'', interlace=0):
    header = struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, interlace)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + extra + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png_rows(width, height, depth, color, interlace):
    """One filter of each kind; the palette's indices stay below 2 ** depth by themselves."""
    passes = [(0, 0, 1, 1)]
    if interlace:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b''
    for x0, y0, dx, dy in passes:
        columns = (width - x0 + dx - 1) // dx
        for y in range(y0, height, dy):
            if columns > 0:
                rows += bytes([y % 5]) + noise((columns * CHANNELS[color] * depth + 7) // 8, y + 1)
    return rows


def exif(orientation, big_endian=True, kind=3, count=1):
    e = '>' if big_endian else '<'
    value = struct.pack(e + ('HH' if kind == 3 else 'I'), *([orientation, 0] if kind == 3 else [orientation]))
    return (b'MM' if big_endian else b'II') + struct.pack(e + 'HIHHHI', 42, 8, 1, 0x0112, kind, count) + value + bytes(4)


def png_forms():
    for color in CHANNELS:
        for depth in (1, 2, 4, 8, 16):
            if (color in (2, 4, 6) and depth < 8) or (color == 3 and depth == 16):
                continue
            for interlace in (0, 1):
                extra = chunk(b'PLTE', noise(3 * 2 ** depth)) if color == 3 else b''
                rows = png_rows(5, 4, depth, color, interlace)
                yield f'{color}_{depth}_{interlace}.png', png(5, 4, depth, color, rows, extra, interlace)
    rows = png_rows(5, 4, 8, 3, 0)
    yield 'transparent.png', png(5, 4, 8, 3, rows, chunk(b'PLTE', noise(768)) + chunk(b'tRNS', b'\0\x80'))
    yield 'short_palette.png', png(5, 4, 8, 3, rows, chunk(b'PLTE', noise(9)))
    yield 'transparent_grey.png', png(5, 4, 8, 0, rows, chunk(b'tRNS', b'\0\1'))
    yield 'turned.png', png(5, 4, 8, 0, rows, chunk(b'eXIf', exif(6)))
    yield 'wrong_crc.png', png(5, 4, 8, 0, rows)[:-20] + b'x' + png(5, 4, 8, 0, rows)[-19:]
    yield 'few_rows.png', png(5, 9, 8, 0, rows)
    yield 'many_rows.png', png(5, 2, 8, 0, rows)
    yield 'wide.png', png(1 << 30, 1, 8, 0, rows)


# ---- JPEG: blocks of one grey level each

class Bits:
    def __init__(self):
        self.text, self.out = '', b''

    def add(self, value, count):
        self.text += format(value, f'0{count}b') if count else ''

    def flush(self):
        self.text += '1' * (-len(self.text) % 8)
        for i in range(0, len(self.text), 8):
            byte = int(self.text[i:i + 8], 2)
            self.out += bytes([byte]) + (b'\0' if byte == 255 else b'')
        self.text = ''


def segment(marker, body):
    return struct.pack('>BBH', 255, marker, len(body) + 2) + body


def add_level(bits, difference):
    """Categories 0 to 6 have codes of three bits, 7 one of four: what `tables` says."""
    size = abs(difference).bit_length()
    bits.add(size if size < 7 else 14, 3 if size < 7 else 4)
    bits.add(difference if difference > 0 else difference + (1 << size) - 1, size)


def jpeg(width, height, components=((1, 1, 1),), progressive=False, restart=0, extra=b'', sos_end=None, jfif=b'\1\1', eoi=True):
    tables = segment(0xDB, b'\0' + bytes([16]) * 64)
    tables += segment(0xC4, b'\0' + bytes([0, 0, 7, 1] + [0] * 12) + bytes(range(8)))
    tables += segment(0xC4, b'\x10' + bytes([1] + [0] * 15) + b'\0')
    if restart:
        tables += segment(0xDD, struct.pack('>H', restart))
    frame = struct.pack('>BHHB', 8, height, width, len(components))
    frame += b''.join(bytes([i, h << 4 | v, 0]) for i, h, v in components)
    largest = max(h for _, h, _ in components), max(v for _, _, v in components)
    units = -(-width // (8 * largest[0])) * -(-height // (8 * largest[1]))
    bits, before, levels = Bits(), {}, iter(noise(4096))
    for unit in range(units):
        if restart and unit and unit % restart == 0:
            bits.flush()
            bits.out += bytes([255, 0xD0 + (unit // restart - 1) % 8])
            before = {}
        for i, h, v in components:
            for _ in range(h * v if len(components) > 1 else 1):
                level = next(levels) % 100 - 50
                add_level(bits, level - before.get(i, 0))
                before[i] = level
                if not progressive:
                    bits.add(0, 1)  # end of block
    bits.flush()
    last = sos_end if sos_end is not None else 0 if progressive else 63
    scan = bytes([len(components)]) + b''.join(bytes([i, 0]) for i, _, _ in components) + bytes([0, last, 0])
    out = b'\xff\xd8'
    if jfif:
        out += segment(0xE0, b'JFIF\0' + jfif + b'\0\0\1\0\1\0\0')
    out += extra + tables + segment(0xC2 if progressive else 0xC0, frame) + segment(0xDA, scan) + bits.out
    if progressive:  # one more scan: the rest of the first component's frequencies, all 0
        i, h, v = components[0]
        blocks = -(-width * h // (8 * largest[0])) * -(-height * v // (8 * largest[1]))
        rest = Bits()
        rest.add(0, blocks)
        rest.flush()
        out += segment(0xDA, bytes([1, i, 0, 1, 63, 0])) + rest.out
    return out + (b'\xff\xd9' if eoi else b'')


RGB420 = ((1, 2, 2), (2, 1, 1), (3, 1, 1))
CMYK = tuple((i, 1, 1) for i in (1, 2, 3, 4))


def adobe(transform):
    return segment(0xEE, b'Adobe' + struct.pack('>HHHB', 100, 0, 0, transform))


def jpeg_forms():
    yield 'grey.jpg', jpeg(13, 10)
    yield 'rgb.jpg', jpeg(10, 9, ((1, 1, 1), (2, 1, 1), (3, 1, 1)))
    yield 'rgb_420.jpg', jpeg(20, 17, RGB420)
    yield 'rgb_progressive.jpg', jpeg(20, 17, RGB420, progressive=True)
    yield 'grey_progressive.jpg', jpeg(20, 17, progressive=True)
    yield 'restart.jpg', jpeg(40, 30, RGB420, restart=2)
    yield 'cmyk.jpg', jpeg(9, 9, CMYK, extra=adobe(0), jfif=b'')
    yield 'ycck.jpg', jpeg(9, 9, CMYK, extra=adobe(2), jfif=b'')
    yield 'odd_transform.jpg', jpeg(9, 9, RGB420, extra=adobe(7), jfif=b'')
    yield 'sos_parameters.jpg', jpeg(13, 10, sos_end=0)
    yield 'jfif_2.jpg', jpeg(13, 10, jfif=b'\2\1')
    yield 'no_eoi.jpg', jpeg(13, 10, eoi=False)
    yield 'no_eoi_progressive.jpg', jpeg(20, 17, RGB420, progressive=True, eoi=False)
    yield 'cut.jpg', jpeg(40, 30, RGB420)[:-20]
    for orientation in range(1, 9):
        yield f'turned_{orientation}.jpg', jpeg(20, 10, extra=segment(0xE1, b'Exif\0\0' + exif(orientation)))
    yield 'turned_long.jpg', jpeg(20, 10, extra=segment(0xE1, b'Exif\0\0' + exif(6, False, kind=4)))
    yield 'huge.jpg', jpeg(8, 8).replace(struct.pack('>BHH', 8, 8, 8), struct.pack('>BHH', 8, 65500, 65500))


# ---- BMP, PNM, TGA

def bmp(bits, compression=0, header=40, height=8, palette=b'', body=None, width=8, masks=b''):
    stride = (width * bits + 31) // 32 * 4
    body = noise(stride * abs(height)) if body is None else body
    if header == 12:
        info = struct.pack('<IHHHH', 12, width, height, 1, bits)
    else:
        info = struct.pack('<IiiHHIIiiII', header, width, height, 1, bits, compression, len(body), 0, 0, len(palette) // 4, 0)
        if header >= 52:
            info += masks.ljust(16, b'\0')
            masks = b''
        info = info.ljust(header, b'\0')[:header]
    offset = 14 + len(info) + len(masks) + len(palette)
    return b'BM' + struct.pack('<IHHI', offset + len(body), 0, 0, offset) + info + masks + palette + body


def bmp_forms():
    for bits in (1, 4, 8):
        for height in (8, -8):
            yield f'{bits}_{"up" if height > 0 else "down"}.bmp', bmp(bits, height=height, palette=noise(4 * 2 ** bits))
    yield 'short_palette.bmp', bmp(8, palette=noise(8))
    for bits in (16, 24, 32):
        for height in (7, -7):
            yield f'{bits}_{"up" if height > 0 else "down"}.bmp', bmp(bits, height=height, width=5)
    masks565 = struct.pack('<III', 0xF800, 0x7E0, 0x1F)
    masks888 = struct.pack('<III', 0xFF0000, 0xFF00, 0xFF)
    masks8888 = masks888 + struct.pack('<I', 0xFF000000)
    yield 'masks_565.bmp', bmp(16, 3, masks=masks565)
    yield 'masks_888.bmp', bmp(32, 3, masks=masks888)
    yield 'masks_8888.bmp', bmp(32, 3, header=124, masks=masks8888)
    yield 'header_12.bmp', bmp(24, header=12, width=5)
    yield 'header_108.bmp', bmp(32, 3, header=108, masks=masks888)
    yield 'header_56.bmp', bmp(32, 3, header=56, masks=masks8888)
    yield 'rle8.bmp', bmp(8, 1, palette=noise(1024), body=b'\x08\x01\0\0' * 8 + b'\0\1')
    yield 'rle4.bmp', bmp(4, 2, palette=noise(64), body=b'\x08\x12\0\0' * 8 + b'\0\1')
    yield 'two_planes.bmp', bmp(24).replace(b'\1\0\x18\0', b'\2\0\x18\0')
    yield 'only_header.bmp', bmp(24, body=b'')
    yield 'offset_in_header.bmp', bmp(24)[:10] + struct.pack('<I', 20) + bmp(24)[14:]


def tga(kind, bits, palette=b'', body=None, flags=0x20, width=8, height=8, name=b''):
    body = noise(width * height * ((bits + 7) // 8)) if body is None else body
    header = struct.pack('<BBBHHBHHHHBB', len(name), 1 if palette else 0, kind, 0, len(palette) // 3, 24 if palette else 0, 0, 0, width,
                         height, bits, flags)
    return header + name + palette + body


def tga_forms():
    yield 'rgb.tga', tga(2, 24)
    yield 'rgb_up.tga', tga(2, 24, flags=0)
    yield 'rgba.tga', tga(2, 32, flags=0x28)
    yield 'rgb16.tga', tga(2, 16)
    yield 'rgb15.tga', tga(2, 15)
    yield 'grey.tga', tga(3, 8)
    yield 'grey_alpha.tga', tga(3, 16, flags=0x28)
    yield 'named.tga', tga(3, 8, name=b'a name')
    yield 'palette.tga', tga(1, 8, noise(768))
    yield 'short_palette.tga', tga(1, 8, noise(9))
    yield 'right_to_left.tga', tga(2, 24, flags=0x10)
    run = b''.join(bytes([0x87]) + noise(3, y) for y in range(8))
    yield 'rgb_runs.tga', tga(10, 24, body=run)
    yield 'rgb_raw_packets.tga', tga(10, 24, body=b''.join(b'\x07' + noise(24, y) for y in range(8)))
    yield 'grey_runs.tga', tga(11, 8, body=b'\xbf\x10')
    yield 'grey_runs_long.tga', tga(11, 8, body=b'\xff\x10')
    yield 'palette_runs.tga', tga(9, 8, noise(768), body=b'\x87\1' * 8)
    yield 'only_header.tga', tga(2, 24, body=b'')
    yield 'neither.tga', tga(5, 24)


def pnm_forms():
    for maxval in (1, 15, 100, 255):
        body = bytes(b % (maxval + 1) for b in noise(60))
        yield f'{maxval}.pgm', b'P5\n10 6\n%d\n' % maxval + body
    for maxval in (256, 1000, 4095, 65535):
        body = b''.join(struct.pack('>H', (a << 8 | b) % (maxval + 1)) for a, b in zip(noise(24), noise(24, 7)))
        yield f'{maxval}.pgm', b'P5 6 4 %d ' % maxval + body
        yield f'{maxval}.ppm', b'P6 2 4 %d\n' % maxval + body
    yield 'rgb.ppm', b'P6\n# a remark\n5 4\n# another\n255\n' + noise(60)
    yield 'above_maxval.pgm', b'P5 4 4 15\n' + noise(16)
    yield 'only_header.pgm', b'P5 12 12 255\n'
    yield 'short.ppm', b'P6 12 12 255\n' + noise(300)
    yield 'maxval_0.pgm', b'P5 2 2 0\n' + noise(4)
    yield 'maxval_70000.pgm', b'P5 2 2 70000\n' + noise(8)
    yield 'overflow.pgm', b'P5 99999999999 4294967297 255\n' + noise(64)
    yield 'negative.pgm', b'P5 -2 2 255\n' + noise(8)
    yield 'text.pgm', b'P2 2 2 255\n1 2 3 4\n'
    yield 'bits.pbm', b'P4 8 2\n\xaa\x55'


# ---- MATLAB version 5

def element(kind, body):
    return struct.pack('<II', kind, len(body)) + body + bytes(-len(body) % 8)


def small(kind, body):
    return struct.pack('<HH', kind, len(body)) + body.ljust(4, b'\0')


def matrix(kind, dims, name, rest, flags=0):
    head = element(6, struct.pack('<II', kind | flags << 8, 0)) + element(5, struct.pack(f'<{len(dims)}i', *dims))
    return element(14, head + element(1, name) + rest)


def mat(elements):
    return b'MATLAB 5.0 MAT-file'.ljust(124) + b'\0\1IM' + elements


def mat_elements():
    labels = matrix(9, (3, 4), b'LabelMap', element(2, bytes(range(12))))
    fields = element(1, b'Boundaries'.ljust(16, b'\0') + b'Segmentation'.ljust(16, b'\0'))
    sbd = matrix(2, (1, 1), b'GTcls', element(5, struct.pack('<i', 16)) + fields + matrix(9, (1, 1), b'', element(2, b'\1'))
                 + matrix(9, (2, 2), b'', element(2, b'\1\2\3\4')))
    packed = zlib.compress(sbd)
    return {
        'u8': labels, 'struct': sbd, 'packed': struct.pack('<II', 15, len(packed)) + packed, 'second': matrix(4, (1, 1), b'x', small(2, b'1'))
        + labels, 'double': matrix(6, (2, 2), b'S', element(9, struct.pack('<4d', 1, 2, 300, 4))), 'float': matrix(7, (1, 2), b'S', element(
            7, struct.pack('<2f', 1, 2))), 'u16': matrix(11, (1, 2), b'S', small(4, b'\1\0\2\1')), 'i32': matrix(12, (2, 1), b'S', element(
                5, struct.pack('<2i', 5, 70))), 'negative': matrix(8, (1, 2), b'S', small(1, b'\1\xff')), 'fraction': matrix(
                    6, (1, 1), b'S', element(9, struct.pack('<d', 1.5))), 'nan': matrix(6, (1, 1), b'S', element(9, struct.pack(
                        '<d', float('nan')))), 'no_labels': matrix(9, (1, 1), b'y', small(2, b'1')), 'complex': matrix(
                            6, (1, 1), b'S', element(9, bytes(8)) * 2, 8), 'three': matrix(9, (2, 2, 2), b'S', element(2, bytes(8))),
        'large': matrix(9, (1 << 30, 1 << 30), b'S', element(2, bytes(8))), 'text': matrix(4, (1, 2), b'S', small(4, b'a\0b\0')),
    }


def pictures():
    for forms in (png_forms, jpeg_forms, bmp_forms, tga_forms, pnm_forms):
        yield from forms()
    yield 'empty', b''
    yield 'gif', b'GIF89a' + noise(40)
