"""gesso: a plugin host for diffusion image and video generation. These names are the public API; nothing else is.

Light names (records, hooks, parameters) import at once; names that need torch are loaded on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# pydantic looks for plugins of its own in every installed distribution, and one malformed distribution breaks it.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

__version__ = "0.1.0.dev0"

_HOMES = {
    "gesso.adapters": (
        "AdapterExampleFn", "AdapterKeysFn", "AdapterMatch", "AdapterPatchesFn", "AdapterUse", "RecogniseAdapterFn",
    ),
    "gesso.contributions": (
        "FilenameToken", "ImageFormat", "MetadataReader",
        "ANCHORS", "Adapter", "Asset", "Check", "Command", "Contribution", "Guider", "Locale", "ModelFolder",
        "Operator", "Panel", "Preview", "Record", "Route", "Sampler", "Scheduler", "SettingsSection", "Stage", "Tab",
        "Task", "Upscaler",
    ),
    "gesso.engine.canvas": (
        "BlendFn", "Canvas",
    ),
    "gesso.engine.context": (
        "Output", "RunContext",
    ),
    "gesso.engine.job_context": (
        "JobContext", "StashKey",
    ),
    "gesso.engine.sampling": (
        "DiscreteSampling", "FlowSampling", "ModelSampling", "ResolutionFlowSampling",
    ),
    "gesso.engine.tasks": (
        "TaskContext",
    ),
    "gesso.engine.types": (
        "Cond", "CondEntry", "DenoiseFn", "FitPreviewFn", "Guidance", "GuiderFn", "Latents", "ModelInput", "Noise",
        "NoiseFn", "NoiseSource", "NoiseStream", "PredictFn",
        "Prediction", "PreviewFn", "ResolveTaskFn", "SamplerFn", "ScheduleFn", "StageFn", "Step", "StepFn", "TaskFn",
        "UpscaleFn", "UpscaleLatentsFn",
    ),
    "gesso.errors": (
        "BadFileError", "GessoError", "InvalidInputError", "JobCancelledError", "LazyReferenceError",
        "RegistrationError", "UnknownNameError",
    ),
    "gesso.families": (
        "BuildFn", "ConditionFn", "ConfigFn", "CountTokensFn", "DecodeFn", "Defaults", "DetectFn", "EncodePixelsFn",
        "EncodePromptFn", "EncodeTextFn", "Family", "FitsFn", "ModelCallFn", "Part", "Plan", "PlanFn", "Rename",
        "SamplingFn", "Stream", "TextEncoder", "TextUse", "Vae",
    ),
    "gesso.files": (
        "write_whole",
    ),
    "gesso.hookspecs": (
        "hookimpl",
    ),
    "gesso.i18n": (
        "Catalog", "LocaleReport", "choices_of", "params_texts", "text", "texts_of",
    ),
    "gesso.jobs.progress": (
        "JobProgress",
    ),
    "gesso.jobs.queue": (
        "JobQueue",
    ),
    "gesso.jobs.records": (
        "JobRecord", "StoredArtifact",
    ),
    "gesso.outputs.encoding": (
        "encode_output",
    ),
    "gesso.outputs.naming": (
        "NamedOutput",
    ),
    "gesso.outputs.safe": (
        "safe_part",
    ),
    "gesso.outputs.settings": (
        "OutputSettings",
    ),
    "gesso.outputs.types": (
        "EncodeImageFn", "FilenameTokenFn",
    ),
    "gesso.page": (
        "Page", "PageSettings", "PanelFn", "RouteFn", "TabFn", "TabForm",
    ),
    "gesso.references": (
        "Lazy", "lazy",
    ),
    "gesso.metadata": (
        "ImageMetadata", "Infotext", "MetadataError", "ReadMetadataFn", "json_object", "legal_pairs",
        "parse_infotext",
        "encode_image", "format_infotext",
    ),
    "gesso.models.adapters": (
        "AdapterKeys", "AdapterPatch", "AdapterTarget", "LowRank", "adapted", "adapter_patches", "patched",
    ),
    "gesso.models.model": (
        "Component", "Model",
    ),
    "gesso.models.readers": (
        "MappedReader", "Weight", "WeightReader", "open_reader",
    ),
    "gesso.operators.held": (
        "HeldLinear", "assign_weight", "hold_weight",
    ),
    "gesso.operators.types": (
        "DequantiseFn", "MultiplyFn", "OperatorFn",
    ),
    "gesso.pairs": (
        "job_pairs", "ordered_pairs",
    ),
    "gesso.params": (
        "ChoicesFn", "ParamInfo", "Params", "fields", "label_of", "param", "takes_file", "takes_mask",
    ),
    "gesso.pictures": (
        "ResizeMode", "flattened", "open_picture", "picture_size", "picture_type", "resize_picture",
    ),
    "gesso.plugins.installs.standing": (
        "Standing",
    ),
    "gesso.prompts": (
        "Prompt", "PromptParser", "Segment", "Span", "SubPrompt", "lined_up",
    ),
    "gesso.registry": (
        "Registrar", "Registry",
    ),
    "gesso.service": (
        "Service", "generate",
    ),
    "gesso.serving": (
        "HostService",
    ),
    "gesso.reuse": (
        "Difference", "Reused",
    ),
    "gesso.store.history": (
        "History", "PicturePage", "PictureQuery", "StoredPicture",
    ),
    "gesso.thumbnails": (
        "Thumbnails",
    ),
    "gesso.tokens": (
        "TokenCount", "count_tokens",
    ),
    "gesso.types": (
        "Artifact", "CoreParams", "FileRef", "Header", "HookState", "Image", "Job", "JobEvent", "Mask", "Match",
        "Metric", "ModelRef", "PluginState", "Request", "TensorInfo",
    ),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [*sorted(_HOME_OF), "__version__"]  # noqa: PLE0604 - made from the table above


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        deprecated = importlib.import_module("gesso.deprecated")
        if name in deprecated.NAMES:
            return deprecated.name_of(name)
        raise AttributeError(f"module 'gesso' has no public name {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)


# For type checkers and editors; a test compares this list with the table above.
if TYPE_CHECKING:
    from gesso.adapters import AdapterExampleFn as AdapterExampleFn
    from gesso.adapters import AdapterKeysFn as AdapterKeysFn
    from gesso.adapters import AdapterMatch as AdapterMatch
    from gesso.adapters import AdapterPatchesFn as AdapterPatchesFn
    from gesso.adapters import AdapterUse as AdapterUse
    from gesso.adapters import RecogniseAdapterFn as RecogniseAdapterFn
    from gesso.contributions import ANCHORS as ANCHORS
    from gesso.contributions import Adapter as Adapter
    from gesso.contributions import Asset as Asset
    from gesso.contributions import Check as Check
    from gesso.contributions import Command as Command
    from gesso.contributions import Contribution as Contribution
    from gesso.contributions import FilenameToken as FilenameToken
    from gesso.contributions import Guider as Guider
    from gesso.contributions import ImageFormat as ImageFormat
    from gesso.contributions import Locale as Locale
    from gesso.contributions import MetadataReader as MetadataReader
    from gesso.contributions import ModelFolder as ModelFolder
    from gesso.contributions import Operator as Operator
    from gesso.contributions import Panel as Panel
    from gesso.contributions import Preview as Preview
    from gesso.contributions import Record as Record
    from gesso.contributions import Route as Route
    from gesso.contributions import Sampler as Sampler
    from gesso.contributions import Scheduler as Scheduler
    from gesso.contributions import SettingsSection as SettingsSection
    from gesso.contributions import Stage as Stage
    from gesso.contributions import Tab as Tab
    from gesso.contributions import Task as Task
    from gesso.contributions import Upscaler as Upscaler
    from gesso.engine.canvas import BlendFn as BlendFn
    from gesso.engine.canvas import Canvas as Canvas
    from gesso.engine.context import Output as Output
    from gesso.engine.context import RunContext as RunContext
    from gesso.engine.job_context import JobContext as JobContext
    from gesso.engine.job_context import StashKey as StashKey
    from gesso.engine.sampling import DiscreteSampling as DiscreteSampling
    from gesso.engine.sampling import FlowSampling as FlowSampling
    from gesso.engine.sampling import ModelSampling as ModelSampling
    from gesso.engine.sampling import ResolutionFlowSampling as ResolutionFlowSampling
    from gesso.engine.tasks import TaskContext as TaskContext
    from gesso.engine.types import Cond as Cond
    from gesso.engine.types import CondEntry as CondEntry
    from gesso.engine.types import DenoiseFn as DenoiseFn
    from gesso.engine.types import FitPreviewFn as FitPreviewFn
    from gesso.engine.types import Guidance as Guidance
    from gesso.engine.types import GuiderFn as GuiderFn
    from gesso.engine.types import Latents as Latents
    from gesso.engine.types import ModelInput as ModelInput
    from gesso.engine.types import Noise as Noise
    from gesso.engine.types import NoiseFn as NoiseFn
    from gesso.engine.types import NoiseSource as NoiseSource
    from gesso.engine.types import NoiseStream as NoiseStream
    from gesso.engine.types import PredictFn as PredictFn
    from gesso.engine.types import Prediction as Prediction
    from gesso.engine.types import PreviewFn as PreviewFn
    from gesso.engine.types import ResolveTaskFn as ResolveTaskFn
    from gesso.engine.types import SamplerFn as SamplerFn
    from gesso.engine.types import ScheduleFn as ScheduleFn
    from gesso.engine.types import StageFn as StageFn
    from gesso.engine.types import Step as Step
    from gesso.engine.types import StepFn as StepFn
    from gesso.engine.types import TaskFn as TaskFn
    from gesso.engine.types import UpscaleFn as UpscaleFn
    from gesso.engine.types import UpscaleLatentsFn as UpscaleLatentsFn
    from gesso.errors import BadFileError as BadFileError
    from gesso.errors import GessoError as GessoError
    from gesso.errors import InvalidInputError as InvalidInputError
    from gesso.errors import JobCancelledError as JobCancelledError
    from gesso.errors import LazyReferenceError as LazyReferenceError
    from gesso.errors import RegistrationError as RegistrationError
    from gesso.errors import UnknownNameError as UnknownNameError
    from gesso.families import BuildFn as BuildFn
    from gesso.families import ConditionFn as ConditionFn
    from gesso.families import ConfigFn as ConfigFn
    from gesso.families import CountTokensFn as CountTokensFn
    from gesso.families import DecodeFn as DecodeFn
    from gesso.families import Defaults as Defaults
    from gesso.families import DetectFn as DetectFn
    from gesso.families import EncodePixelsFn as EncodePixelsFn
    from gesso.families import EncodePromptFn as EncodePromptFn
    from gesso.families import EncodeTextFn as EncodeTextFn
    from gesso.families import Family as Family
    from gesso.families import FitsFn as FitsFn
    from gesso.families import ModelCallFn as ModelCallFn
    from gesso.families import Part as Part
    from gesso.families import Plan as Plan
    from gesso.families import PlanFn as PlanFn
    from gesso.families import Rename as Rename
    from gesso.families import SamplingFn as SamplingFn
    from gesso.families import Stream as Stream
    from gesso.families import TextEncoder as TextEncoder
    from gesso.families import TextUse as TextUse
    from gesso.families import Vae as Vae
    from gesso.files import write_whole as write_whole
    from gesso.hookspecs import hookimpl as hookimpl
    from gesso.i18n import Catalog as Catalog
    from gesso.i18n import LocaleReport as LocaleReport
    from gesso.i18n import choices_of as choices_of
    from gesso.i18n import params_texts as params_texts
    from gesso.i18n import text as text
    from gesso.i18n import texts_of as texts_of
    from gesso.jobs.progress import JobProgress as JobProgress
    from gesso.jobs.queue import JobQueue as JobQueue
    from gesso.jobs.records import JobRecord as JobRecord
    from gesso.jobs.records import StoredArtifact as StoredArtifact
    from gesso.metadata import ImageMetadata as ImageMetadata
    from gesso.metadata import Infotext as Infotext
    from gesso.metadata import MetadataError as MetadataError
    from gesso.metadata import ReadMetadataFn as ReadMetadataFn
    from gesso.metadata import encode_image as encode_image
    from gesso.metadata import format_infotext as format_infotext
    from gesso.metadata import json_object as json_object
    from gesso.metadata import legal_pairs as legal_pairs
    from gesso.metadata import parse_infotext as parse_infotext
    from gesso.models.adapters import AdapterKeys as AdapterKeys
    from gesso.models.adapters import AdapterPatch as AdapterPatch
    from gesso.models.adapters import AdapterTarget as AdapterTarget
    from gesso.models.adapters import LowRank as LowRank
    from gesso.models.adapters import adapted as adapted
    from gesso.models.adapters import adapter_patches as adapter_patches
    from gesso.models.adapters import patched as patched
    from gesso.models.model import Component as Component
    from gesso.models.model import Model as Model
    from gesso.models.readers import MappedReader as MappedReader
    from gesso.models.readers import Weight as Weight
    from gesso.models.readers import WeightReader as WeightReader
    from gesso.models.readers import open_reader as open_reader
    from gesso.operators.held import HeldLinear as HeldLinear
    from gesso.operators.held import assign_weight as assign_weight
    from gesso.operators.held import hold_weight as hold_weight
    from gesso.operators.types import DequantiseFn as DequantiseFn
    from gesso.operators.types import MultiplyFn as MultiplyFn
    from gesso.operators.types import OperatorFn as OperatorFn
    from gesso.outputs.encoding import encode_output as encode_output
    from gesso.outputs.naming import NamedOutput as NamedOutput
    from gesso.outputs.safe import safe_part as safe_part
    from gesso.outputs.settings import OutputSettings as OutputSettings
    from gesso.outputs.types import EncodeImageFn as EncodeImageFn
    from gesso.outputs.types import FilenameTokenFn as FilenameTokenFn
    from gesso.page import Page as Page
    from gesso.page import PageSettings as PageSettings
    from gesso.page import PanelFn as PanelFn
    from gesso.page import RouteFn as RouteFn
    from gesso.page import TabFn as TabFn
    from gesso.page import TabForm as TabForm
    from gesso.pairs import job_pairs as job_pairs
    from gesso.pairs import ordered_pairs as ordered_pairs
    from gesso.params import ChoicesFn as ChoicesFn
    from gesso.params import ParamInfo as ParamInfo
    from gesso.params import Params as Params
    from gesso.params import fields as fields
    from gesso.params import label_of as label_of
    from gesso.params import param as param
    from gesso.params import takes_file as takes_file
    from gesso.params import takes_mask as takes_mask
    from gesso.pictures import ResizeMode as ResizeMode
    from gesso.pictures import flattened as flattened
    from gesso.pictures import open_picture as open_picture
    from gesso.pictures import picture_size as picture_size
    from gesso.pictures import picture_type as picture_type
    from gesso.pictures import resize_picture as resize_picture
    from gesso.plugins.installs.standing import Standing as Standing
    from gesso.prompts import Prompt as Prompt
    from gesso.prompts import PromptParser as PromptParser
    from gesso.prompts import Segment as Segment
    from gesso.prompts import Span as Span
    from gesso.prompts import SubPrompt as SubPrompt
    from gesso.prompts import lined_up as lined_up
    from gesso.references import Lazy as Lazy
    from gesso.references import lazy as lazy
    from gesso.registry import Registrar as Registrar
    from gesso.registry import Registry as Registry
    from gesso.reuse import Difference as Difference
    from gesso.reuse import Reused as Reused
    from gesso.service import Service as Service
    from gesso.service import generate as generate
    from gesso.serving import HostService as HostService
    from gesso.store.history import History as History
    from gesso.store.history import PicturePage as PicturePage
    from gesso.store.history import PictureQuery as PictureQuery
    from gesso.store.history import StoredPicture as StoredPicture
    from gesso.thumbnails import Thumbnails as Thumbnails
    from gesso.tokens import TokenCount as TokenCount
    from gesso.tokens import count_tokens as count_tokens
    from gesso.types import Artifact as Artifact
    from gesso.types import CoreParams as CoreParams
    from gesso.types import FileRef as FileRef
    from gesso.types import Header as Header
    from gesso.types import HookState as HookState
    from gesso.types import Image as Image
    from gesso.types import Job as Job
    from gesso.types import JobEvent as JobEvent
    from gesso.types import Mask as Mask
    from gesso.types import Match as Match
    from gesso.types import Metric as Metric
    from gesso.types import ModelRef as ModelRef
    from gesso.types import PluginState as PluginState
    from gesso.types import Request as Request
    from gesso.types import TensorInfo as TensorInfo
