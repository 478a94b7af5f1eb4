"""The functions, served by Flask: `endpoint_flask.py [public key]`.

With a key it verifies what it is sent. Prints `url ADDRESS`. Ends with its standard input.
"""

import logging
import sys
import threading

from dispatch.flask import Dispatch
from flask import Flask
from functions import registry
from werkzeug.serving import make_server

# A line for each request.
logging.getLogger("werkzeug").setLevel(logging.ERROR)

app = Flask(__name__)
Dispatch(app, registry, verification_key=sys.argv[1] if len(sys.argv) > 1 else None)
server = make_server("127.0.0.1", 0, app, threaded=True)
registry.endpoint = f"http://127.0.0.1:{server.server_port}"
serving = threading.Thread(target=server.serve_forever)
serving.start()
print("url", registry.endpoint, flush=True)
sys.stdin.read()
server.shutdown()
serving.join()
