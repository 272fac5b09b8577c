"""Holds the GPTQ and AWQ goldens against the dequantising code of gptqmodel and autoawq, which do not install without a GPU.

    python3 check_packers.py DATA --gptqmodel FOLDER --autoawq FOLDER     # unpacked source distributions from PyPI

Of gptqmodel the methods are taken out of their class, so that the package itself is not imported. Makes nothing.
"""
import argparse
import ast
import glob
import importlib.util
import json
import os

import torch
from safetensors.torch import load_file

from quantised import digest


def gptqmodel_methods(folder):
    """dequantize_weight and what it calls, of PackableQuantLinear."""
    path = os.path.join(folder, "gptqmodel/nn_modules/qlinear/__init__.py")
    tree = ast.parse(open(path).read())
    wanted = {"dequantize_weight", "_dequantize_from_codes", "_torch_shift_factor", "_torch_right_shift"}
    found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in wanted]
    for node in found:
        node.decorator_list = []
    scope = {"t": torch}
    exec("import torch\nTORCH_HAS_XPU_FUSED_OPS = False", scope)
    exec(compile(ast.Module(body=found, type_ignores=[]), path, "exec"), scope)
    return scope


def gptq_values(scope, parts, bits, v1):
    from types import SimpleNamespace
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    qzeros = parts["qzeros"]
    if v1:      # convert_gptq_v1_to_v2_format_module
        qzeros = qzeros + {4: 0b00010001000100010001000100010001, 8: 0b00000001000000010000000100000001}[bits]
    module = SimpleNamespace(planar=False, bits=bits, maxq=2**bits - 1, pack_factor=32 // bits, qzeros=qzeros, qweight=parts["qweight"],
                             scales=parts["scales"].float(), g_idx=parts["g_idx"], in_features=parts["g_idx"].numel(),
                             dequant_dtype=torch.int16 if bits == 8 else torch.int8, wf_unsqueeze_zero=shifts[None, None],
                             wf_unsqueeze_neg_one=shifts[None, :, None], _init_wf_unsqueeze_buffers=lambda: None)
    module._dequantize_from_codes = lambda *a, **k: scope["_dequantize_from_codes"](module, *a, **k)
    return scope["dequantize_weight"](module).T


def autoawq_packing(folder):
    path = os.path.join(folder, "awq/utils/packing_utils.py")
    spec = importlib.util.spec_from_file_location("packing_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(case, values_of):
    tensors, expected = (load_file(os.path.join(case, f)) for f in ("model.safetensors", "expected.safetensors"))
    names = [k[len("digest."):] for k in expected if k.startswith("digest.")]
    equal = 0
    for name in names:
        module = name.removesuffix("weight")
        parts = {k[len(module):]: v for k, v in tensors.items() if k.startswith(module)}
        equal += torch.equal(digest(values_of(parts)), expected["digest." + name])
    print(f"{os.path.basename(case):18s} {equal} of {len(names)} weights equal", flush=True)
    return equal == len(names)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("data")
    ap.add_argument("--gptqmodel", required=True)
    ap.add_argument("--autoawq", required=True)
    a = ap.parse_args()
    scope, awq = gptqmodel_methods(a.gptqmodel), autoawq_packing(a.autoawq)
    good = True
    for case in sorted(glob.glob(os.path.join(a.data, "quantised", "gptq*"))):
        own = os.path.join(case, "quantize_config.json")
        config = json.load(open(own)) if os.path.exists(own) else json.load(open(os.path.join(case, "config.json")))["quantization_config"]
        v1 = config["checkpoint_format"] == "gptq"
        good &= check(case, lambda p: gptq_values(scope, p, 32 * p["qzeros"].shape[1] // p["scales"].shape[1], v1))
    for case in sorted(glob.glob(os.path.join(a.data, "quantised", "awq*"))):
        good &= check(case, lambda p: awq.dequantize_gemm(p["qweight"], p["qzeros"], p["scales"].float(), 4,
                                                          p["qweight"].shape[0] // p["scales"].shape[0]).T)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
