"""The engine's `typed_json`, under the name by which the app's modules know it."""

from engine.typed_json import JsonMismatch, field_from_json, from_json, parse_json, to_json, valid_text

__all__ = ["JsonMismatch", "field_from_json", "from_json", "parse_json", "to_json", "valid_text"]
