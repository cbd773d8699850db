"""Packages of a finished output folder, as archives take them: BagIt bags, zip files, PREMIS and IIIF."""

from colorbatch.operations.package.job import Packaged, PackageJob
from colorbatch.operations.package.writing import package_batch

__all__ = ["PackageJob", "Packaged", "package_batch"]
