"""XML of strangers: no entities, no network, no bottomless nesting (lxml ≥ 6.1)."""

from lxml import etree

from resources.web.policy import WebError

_DEPTH_ERROR = "ERR_RESOURCE_LIMIT"


def parse_xml(payload: bytes) -> etree._Element | None:
    """The root of a document, its broken parts left out; None where there is no XML at all.

    Raises:
        WebError: It declares entities, or is nested more than 256 deep: what such a document holds is not looked at.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, recover=True)
    try:
        root = etree.fromstring(payload, parser)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    for problem in parser.error_log:
        if problem.type_name == _DEPTH_ERROR:
            raise WebError("unsafe_xml", f"expected XML within the limits of its parser, found: {problem.message}")
    declared = root.getroottree().docinfo.internalDTD if root is not None else None
    if declared is not None and (names := [str(entity.name) for entity in declared.iterentities()]):
        raise WebError("unsafe_xml", f"expected XML without entities of its own, found {len(names)}, the first {names[0]!r:.40}")
    return root
