"""Bridges to other libraries: their models in, ours out."""

from surrogate_opt.adapters.box import Box, as_box
from surrogate_opt.adapters.differentiable import as_differentiable
from surrogate_opt.adapters.scipy import hessian_product_for_scipy, value_and_gradient_for_scipy

__all__ = [
    "Box",
    "as_box",
    "as_differentiable",
    "hessian_product_for_scipy",
    "value_and_gradient_for_scipy",
]
