"""Real data sets, read from a folder of the user's and checked to hold what was published."""

from surrogate_problems.datasets.files import DatasetError
from surrogate_problems.datasets.images import Images, load_images
from surrogate_problems.datasets.tables import RegressionTable, load_table
from surrogate_problems.datasets.texts import Texts, load_texts

__all__ = [
    "DatasetError",
    "Images",
    "RegressionTable",
    "Texts",
    "load_images",
    "load_table",
    "load_texts",
]
