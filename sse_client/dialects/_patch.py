"""JSON Patch (RFC 6902): a document changed by operations. The unchanged parts of it are shared, not copied."""

from typing import Any, cast


def patched(document: Any, operations: Any) -> Any:
    """Return the document with all changes; it stays as it was. Raises `ValueError` if one of them cannot be made."""
    try:
        for each in operations:
            keys = _keys(each["path"])
            match each["op"]:
                case "add" | "replace":
                    document = _changed(document, keys, each["op"], each["value"])
                case "remove":
                    document = _changed(document, keys, "remove", None)
                case "copy":
                    document = _changed(document, keys, "add", _at(document, _keys(each["from"])))
                case "move":
                    source = _keys(each["from"])
                    value = _at(document, source)
                    document = _changed(_changed(document, source, "remove", None), keys, "add", value)
                case "test" if _at(document, keys) == each["value"]:
                    pass
                case _:
                    raise ValueError("an unknown operation, or a test that fails")
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("a path that does not exist") from error
    return document


def _keys(pointer: str) -> list[str]:
    """The keys of a JSON Pointer (RFC 6901)."""
    if pointer and not pointer.startswith("/"):
        raise ValueError("a pointer begins with a slash")
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]


def _index(key: str) -> int:
    if not (key.isascii() and key.isdigit()):
        raise LookupError(key)
    return int(key)


def _at(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value[_index(key) if isinstance(value, list) else key]
    return value


def _changed(value: Any, keys: list[str], operation: str, new: Any) -> Any:
    if not keys:
        return new
    key, *rest = keys
    if not isinstance(value, list | dict):
        raise TypeError(key)
    copy: Any = cast("Any", value).copy()
    place: Any = key
    if isinstance(value, list):
        place = len(copy) if key == "-" else _index(key)
    if rest:
        copy[place] = _changed(copy[place], rest, operation, new)
    elif operation == "remove":
        del copy[place]
    elif operation == "add" and isinstance(value, list):
        if place > len(copy):
            raise LookupError(key)
        copy.insert(place, new)
    else:
        if operation == "replace":
            _at(value, [key])  # it must be there
        copy[place] = new
    return copy
