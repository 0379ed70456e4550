"""Species, split, taxonomy and group of each photo, read from the folders of a collection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from butterflyer_jax.data.ingest.folders import additions, file_names, kinds, people_and_places, species, strays
from butterflyer_jax.data.ingest.folders.reading import LEAF, NAME, PATH, TOP, Folders, some
from butterflyer_jax.errors import UserError

# Each may ask the user about the species of the folders; all are asked at once.
CHECKS: tuple[Callable[[Folders], None], ...] = (
    strays.check_unsure,
    strays.check_counterparts,
    strays.check_single,
    strays.check_languages,
    people_and_places.check,
    strays.check_doubted,
    additions.check,
    file_names.check,
    file_names.check_beside,
)


def read(photos: Iterable[str], layout: str = "", listed: Collection[str] = ()) -> Folders:
    """Reads the folders of photos.

    Folders that name a split, hold masks and the like, are mere containers, or name circumstances
    (sessions, years, regions) are set apart first, at any level; the remaining ones name the species.

    Args:
      photos: paths of photos in the collection.
      layout: "leaf": the innermost folder is the species; "top": the outermost; "path": all of them joined; "name": the
        file name without its number; "": the only sensible one.
      listed: folders named in a list of classes, which count as species in any case.

    Returns:
      The reading, with `problem` set where there is no sensible one, or more than one.
    """
    result = Folders()
    paths, result.ignored = kinds.sort_paths(photos, bool(layout), listed)
    if not paths:
        result.problem = "all pictures lie in folders that hold no photos: " + some(result.ignored.values())
        return result
    if layout and layout != NAME:
        strays.take_all_names(paths)
    result.splits = {photo: path.split for photo, path in paths.items() if path.split and not path.clash}
    strays.set_apart(paths, result, layout)
    if not layout:
        strays.unwrap(paths)
        strays.remove_strays(paths, result)
        strays.remove_odd_depths(paths, result)
    if paths and not result.problem:
        species.name_species(paths, layout, result)
    for check in () if layout or result.problem else CHECKS:
        check(result)
    return result


def check_option(layout: str) -> None:
    """Raises a UserError for an unknown value of build.layout."""
    if layout not in ("", "table", LEAF, TOP, PATH, NAME):
        raise UserError(
            f"build.layout={layout}: there are table, leaf, top, path and name, or nothing for the only sensible one"
        )
