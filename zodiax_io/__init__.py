"""Keep whole JAX models: save a pytree with one call, load it back with another."""

from ._backends import ArrayBackend as ArrayBackend
from ._environment import Difference as Difference
from ._errors import (
    ArgumentError as ArgumentError,
    ClassChangedError as ClassChangedError,
    CorruptFileError as CorruptFileError,
    DamagedWarning as DamagedWarning,
    MissingFileError as MissingFileError,
    MissingPackageError as MissingPackageError,
    MixedPairWarning as MixedPairWarning,
    NewerFormatError as NewerFormatError,
    NotAFileError as NotAFileError,
    PartialLoadWarning as PartialLoadWarning,
    PlaceholderError as PlaceholderError,
    PlaceholderWarning as PlaceholderWarning,
    ReadError as ReadError,
    SaveError as SaveError,
    SerialisationError as SerialisationError,
    SettingsError as SettingsError,
    UnknownFormatError as UnknownFormatError,
    UntrustedError as UntrustedError,
    VersionMismatchError as VersionMismatchError,
    VersionMismatchWarning as VersionMismatchWarning,
    ZodiaxIOError as ZodiaxIOError,
    ZodiaxIOWarning as ZodiaxIOWarning,
)
from ._inspect import names as names, untrusted as untrusted
from ._integrity import Damage as Damage, repair as repair, verify as verify
from ._kinds import (
    Damaged as Damaged,
    Placeholder as Placeholder,
    register_kind as register_kind,
)
from ._names import register as register
from ._serialise import (
    deserialise as deserialise,
    read_metadata as read_metadata,
    serialise as serialise,
)
from ._structure import (
    build_structure as build_structure,
    load_structure as load_structure,
)
from ._trust import Verdict as Verdict

__version__ = "0.1.0"
