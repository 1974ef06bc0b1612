"""Keep whole JAX models: save a pytree with one call, load it back with another."""

from ._backends import ArrayBackend as ArrayBackend
from ._environment import Difference as Difference
from ._errors import ArgumentError as ArgumentError
from ._errors import ClassChangedError as ClassChangedError
from ._errors import CorruptFileError as CorruptFileError
from ._errors import MissingFileError as MissingFileError
from ._errors import MixedPairWarning as MixedPairWarning
from ._errors import NotAFileError as NotAFileError
from ._errors import PlaceholderError as PlaceholderError
from ._errors import PlaceholderWarning as PlaceholderWarning
from ._errors import ReadError as ReadError
from ._errors import SaveError as SaveError
from ._errors import SerialisationError as SerialisationError
from ._errors import SettingsError as SettingsError
from ._errors import UnknownFormatError as UnknownFormatError
from ._errors import UntrustedError as UntrustedError
from ._errors import VersionMismatchError as VersionMismatchError
from ._errors import VersionMismatchWarning as VersionMismatchWarning
from ._errors import ZodiaxIOError as ZodiaxIOError
from ._errors import ZodiaxIOWarning as ZodiaxIOWarning
from ._kinds import Placeholder as Placeholder
from ._kinds import register_kind as register_kind
from ._names import register as register
from ._serialise import deserialise as deserialise
from ._serialise import read_metadata as read_metadata
from ._serialise import serialise as serialise
from ._structure import build_structure as build_structure
from ._structure import load_structure as load_structure
from ._trust import Refusal as Refusal

__version__ = "0.1.0"
