"""The names of regions, and the addresses of AOM, IAM and STS in each; pure.

In: a region's name, or an address. Out: an address or a region, and what is wrong or doubtful about it. Facts: the
official SDK's `huaweicloudsdkaom.v2.region` and `huaweicloudsdkiam.v3.region` (Europe's site is myhuaweicloud.eu);
Open Telekom Cloud's "Regions and Endpoints".
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from yarl import URL

REGIONS = (
    "ae-ad-1", "af-north-1", "af-south-1", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
    "ap-southeast-5", "cn-east-2", "cn-east-3", "cn-east-4", "cn-east-5", "cn-north-1", "cn-north-2", "cn-north-4",
    "cn-north-9", "cn-north-11", "cn-north-12", "cn-south-1", "cn-south-2", "cn-southwest-2", "cn-southwest-3",
    "la-north-2", "la-south-2", "me-east-1", "my-kualalumpur-1", "na-mexico-1", "ru-moscow-1", "ru-northwest-2",
    "sa-brazil-1", "tr-west-1",
)  # fmt: skip
"""Regions for which the official SDK lists AOM; AOM's and IAM's addresses all have one form."""

EUROPEAN = ("eu-west-101",)
"""Regions of Huawei Cloud's European site, which are not in the SDK's list for AOM."""

_OPEN_TELEKOM_CLOUD = ("eu-de", "eu-nl")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LIKE_A_REGION = re.compile(r"[a-z]{2}-[a-z]+-\d{1,3}(_.*)?")
_HOST = re.compile(r"[a-z0-9]+\.(?P<region>[a-z0-9-]+)\.(myhuaweicloud\.(com|eu)|otc\.t-systems\.com)")


def address(service: str, region: str) -> str:
    """Return the base address of a service (``aom``, ``iam``, ``sts``) in a region, without a slash at the end."""
    if region in _OPEN_TELEKOM_CLOUD:
        return f"https://{service}.{region}.otc.t-systems.com"
    site = "eu" if region in EUROPEAN else "com"
    return f"https://{service}.{region}.myhuaweicloud.{site}"


def region_of(url: str) -> str:
    """Return the region of an address; empty for an address of another form."""
    try:
        host = _HOST.fullmatch(URL(url).host or "")
    except ValueError:
        return ""
    return host["region"] if host else ""


def is_like_a_region(text: str) -> bool:
    """Return whether a text is the name of a region, or of a project, which begins with its region."""
    return text in REGIONS or text in _OPEN_TELEKOM_CLOUD or bool(_LIKE_A_REGION.fullmatch(text))


def mistake(region: str) -> str | None:
    """Return what is wrong with a region's name; None if nothing is."""
    if region in _OPEN_TELEKOM_CLOUD:
        aom, iam = address("aom", region), address("iam", region)
        text = f"{region!r} is a region of Open Telekom Cloud, which has other addresses"
        return f"{text}. Fix: write endpoint: {aom} instead, and in auth.password iam_endpoint: {iam}."
    if region and not _NAME.fullmatch(region):
        return f"{region!r} is not the name of a region. Fix: write one such as cn-north-4."
    return None


def doubt(region: str) -> str | None:
    """Return what is doubtful about a region's name: a new region is not in our list; None if nothing is."""
    if not region or region in (*REGIONS, *EUROPEAN):
        return None
    near = get_close_matches(region, (*REGIONS, *EUROPEAN), n=1)
    text = f"the official SDK lists no region {region!r}, and {address('aom', region)} may not exist"
    return f"{text}. Fix: {f'did you mean {near[0]!r}? Or ' if near else ''}set endpoint to AOM's address there."
