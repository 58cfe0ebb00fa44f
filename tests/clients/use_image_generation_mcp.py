"""image-generation-mcp (MIT), which lets language models draw: a server of the Model Context Protocol that speaks
AUTOMATIC1111's interface, with FastMCP's client in the place of the language model."""

import asyncio
import base64
import json
import os
import struct
import sys
import tempfile
from pathlib import Path

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def draw(folder):
    server = str(Path(sys.executable).parent / "image-generation-mcp")
    settings = dict(SD_WEBUI_HOST=sys.argv[1], SCRATCH_DIR=folder, READ_ONLY="false")
    env = {"PATH": os.environ["PATH"], "HOME": folder} | {f"IMAGE_GENERATION_MCP_{name}": value for name, value in settings.items()}
    async with Client(StdioTransport(server, ["serve"], env=env), timeout=60) as client:

        async def call(tool, **arguments):
            answer = await client.call_tool(tool, arguments)
            return json.loads(answer.content[0].text)

        provider = (await call("list_providers"))["providers"]["sd_webui"]
        assert provider["available"], provider
        assert "spark" in json.dumps(provider["capabilities"]["models"]), provider
        order = await call("generate_image", prompt="a blue car", provider="sd_webui", aspect_ratio="3:2")
        assert order["status"] == "generating", order
        # it asks for 30 steps of 768x512 whatever it is told, which takes spark a minute
        progress = []
        for _ in range(280):
            state = await call("check_generation_status", image_id=order["image_id"])
            if state["status"] != "generating":
                break
            progress.append(state.get("progress", 0))
            await asyncio.sleep(1)
        assert max(progress, default=0) > 0, "no progress was told"
        assert state["status"] == "completed", state
        [picture] = await client.read_resource(order["original_uri"])
        return picture


with tempfile.TemporaryDirectory() as folder:
    picture = asyncio.run(draw(folder))
png = base64.b64decode(picture.blob)
assert png[:8] == b"\x89PNG\r\n\x1a\n", png[:8]
assert struct.unpack(">II", png[16:24]) == (768, 512)
