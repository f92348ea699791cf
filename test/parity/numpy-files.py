"""Files as NumPy writes them, for packages/core/test/data/array-files.test.ts.

    python3 test/parity/numpy-files.py > packages/core/test/data/numpy-files.json
"""

import base64
import io
import json

import numpy as np


def written(write):
    file = io.BytesIO()
    write(file)
    return base64.b64encode(file.getvalue()).decode()


x = (np.arange(12, dtype=np.float32) / 8 - 1).reshape(3, 2, 2)
y = np.array([5, -6, 2**40], dtype=np.int64)
print(
    json.dumps(
        {
            "numpy": np.__version__,
            "float32": written(lambda file: np.save(file, x)),
            "int64": written(lambda file: np.save(file, y)),
            "bool": written(lambda file: np.save(file, np.array([True, False, True]))),
            "version2": written(lambda file: np.lib.format.write_array(file, x, version=(2, 0))),
            "bigEndian": written(lambda file: np.save(file, x.astype(">f4"))),
            "fortran": written(lambda file: np.save(file, np.asfortranarray(x))),
            "scalar": written(lambda file: np.save(file, np.float32(3))),
            "half": written(lambda file: np.save(file, x.astype(np.float16))),
            "structured": written(lambda file: np.save(file, np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))),
            "npz": written(lambda file: np.savez(file, x=x, y=y)),
            "npzCompressed": written(lambda file: np.savez_compressed(file, x=np.tile(x, (50, 1, 1)), y=np.tile(y, 50))),
        },
        indent=1,
    )
)
