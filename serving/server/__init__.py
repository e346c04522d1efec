"""`mtl serve`: TensorFlow Serving's protocol, REST and gRPC, on one machine.

Status codes, messages and JSON forms follow tensorflow/serving: g3doc/api_rest.md,
model_servers/http_rest_api_handler.cc, util/json_tensor.cc and servables/tensorflow/predict_util.cc.
"""
