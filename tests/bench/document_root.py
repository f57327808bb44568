"""document_root.py — the files that are served: one of each size, and on request a site of 100,000 small ones."""
import random

SIZES = {"1k.bin": 1024, "10k.bin": 10 * 1024, "100k.bin": 100 * 1024, "1m.bin": 1 << 20, "8m.bin": 8 << 20}
FOLDERS, FILES_EACH = 250, 400  # 100,000 files: /site/d17/f333.html
FILE_BYTES = (300, 4000)


def fill(root, is_large):
    """IS_LARGE: with the 100,000 files."""
    chance = random.Random(6)
    for name, size in SIZES.items():
        (root / name).write_bytes(chance.randbytes(size))
    if is_large:
        text = chance.randbytes(FILE_BYTES[1])
        for folder in range(FOLDERS):
            directory = root / "site" / f"d{folder}"
            directory.mkdir(parents=True)
            for number in range(FILES_EACH):
                (directory / f"f{number}.html").write_bytes(text[:chance.randint(*FILE_BYTES)])
