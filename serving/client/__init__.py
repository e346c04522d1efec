"""A client of served models: TensorFlow Serving or `mtl serve`, gRPC or REST, sync or async.

```python
from serving.client import Client

with Client("http://127.0.0.1:8501", model="demo") as client:
    answer = client.predict({"user_id": ["u00264"], "item_id": ["i00075", "i00087"]})
    answer["click"]     # float32 [2]
```
"""

from serving.client.clients import AsyncClient, Client
from serving.client.conversation import Answer
from serving.client.errors import BadFeatures, ServerError

__all__ = ["Answer", "AsyncClient", "BadFeatures", "Client", "ServerError"]
