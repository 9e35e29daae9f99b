"""The health check of the image: succeeds if the web server of this container is ready."""

import os
import urllib.request

host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
name = os.environ.get("ALLOWED_HOSTS", "localhost").partition(",")[0]
# Leaves out what all web servers share: a late projection needs no new web server.
url = f"http://{host}:{port}/readyz?exclude=workers&exclude=lag"
urllib.request.urlopen(urllib.request.Request(url, headers={"Host": name}), timeout=9)
