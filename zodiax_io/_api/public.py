"""Every public name. `zodiax_io` imports this module when the first one is used."""

from .._arrays.backend import ArrayBackend
from .._errors import (
    ArgumentError,
    ClassChangedError,
    ClassChangedWarning,
    CorruptFileError,
    DamagedWarning,
    MissingFileError,
    MissingPackageError,
    MixedPairWarning,
    NewerFormatError,
    NotAFileError,
    OldFileWarning,
    PartialLoadWarning,
    PlaceholderError,
    PlaceholderWarning,
    ReadError,
    RecursionLimitError,
    ResourceError,
    SaveError,
    SerialisationError,
    SettingsError,
    UnknownFormatError,
    UntrustedError,
    VersionMismatchError,
    VersionMismatchWarning,
    ZodiaxIOError,
    ZodiaxIOWarning,
)
from .._evolution.fields import FieldChange
from .._evolution.opaque import Opaque
from .._evolution.packages import Difference
from .._evolution.upgrades import upgraded
from .._kinds.arrays import Damaged
from .._kinds.placeholders import Placeholder
from .._kinds.registering import register_kind
from .._look.diff import Change, Diff, assert_same, diff
from .._look.items import Item
from .._look.numbers import Picture, Statistics
from .._look.summary import Summary, show, summarise
from .._trust.advice import Verdict
from .._trust.names import register
from .._trust.renames import renamed
from .convert import convert
from .integrity import Damage, repair, verify
from .load import deserialise, read_metadata
from .migrate import Migration, migration
from .names import names, untrusted
from .save import serialise
from .structure import build_structure, load_structure

__all__ = [
    "ArgumentError",
    "ArrayBackend",
    "Change",
    "ClassChangedError",
    "ClassChangedWarning",
    "CorruptFileError",
    "Damage",
    "Damaged",
    "DamagedWarning",
    "Diff",
    "Difference",
    "FieldChange",
    "Item",
    "Migration",
    "MissingFileError",
    "MissingPackageError",
    "MixedPairWarning",
    "NewerFormatError",
    "NotAFileError",
    "OldFileWarning",
    "Opaque",
    "PartialLoadWarning",
    "Picture",
    "Placeholder",
    "PlaceholderError",
    "PlaceholderWarning",
    "ReadError",
    "RecursionLimitError",
    "ResourceError",
    "SaveError",
    "SerialisationError",
    "SettingsError",
    "Statistics",
    "Summary",
    "UnknownFormatError",
    "UntrustedError",
    "Verdict",
    "VersionMismatchError",
    "VersionMismatchWarning",
    "ZodiaxIOError",
    "ZodiaxIOWarning",
    "assert_same",
    "build_structure",
    "convert",
    "deserialise",
    "diff",
    "load_structure",
    "migration",
    "names",
    "read_metadata",
    "register",
    "register_kind",
    "renamed",
    "repair",
    "serialise",
    "show",
    "summarise",
    "untrusted",
    "upgraded",
    "verify",
]
