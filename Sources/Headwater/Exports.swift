// `import Headwater` is enough for an embedding program: topics and messages, and the API for its plugins.
@_exported public import MQTTModel
@_exported public import PluginAPI
