"""CLIP's text encoder as Stable Diffusion 1.x uses it, small, in the tensor names of the single-file layout.

`TextEncoder().state_dict()` with the prefix `cond_stage_model.transformer.` is what a checkpoint file holds.
"""

import torch
import torch.nn.functional as F
from torch import nn

HEAD_SIZE = 64
TOKENS = 77


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = (
            layer(x).view(batch, tokens, width // HEAD_SIZE, HEAD_SIZE).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(h.transpose(1, 2).reshape(batch, tokens, width))


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):
        h = self.fc1(x)
        return self.fc2(h * torch.sigmoid(1.702 * h))


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.self_attn = Attention(width)
        self.layer_norm1 = nn.LayerNorm(width)
        self.mlp = FeedForward(width)
        self.layer_norm2 = nn.LayerNorm(width)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    def __init__(self, vocabulary, width):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.position_embedding = nn.Embedding(TOKENS, width)
        nn.init.normal_(self.token_embedding.weight, std=0.02 * 4)
        nn.init.normal_(self.position_embedding.weight, std=0.01)

    def forward(self, tokens):
        return self.token_embedding(tokens) + self.position_embedding.weight[: tokens.shape[1]]


class Layers(nn.Module):
    def __init__(self, width, count):
        super().__init__()
        self.layers = nn.ModuleList(Layer(width) for _ in range(count))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class TextModel(nn.Module):
    def __init__(self, vocabulary, width, layers):
        super().__init__()
        self.embeddings = Embeddings(vocabulary, width)
        self.encoder = Layers(width, layers)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, tokens):
        return self.final_layer_norm(self.encoder(self.embeddings(tokens)))


class TextEncoder(nn.Module):
    """Token numbers `[batch, 77]` to the last hidden state `[batch, 77, width]`."""

    def __init__(self, vocabulary=3000, width=128, layers=3):
        super().__init__()
        self.text_model = TextModel(vocabulary, width, layers)

    def forward(self, tokens):
        return self.text_model(tokens)
