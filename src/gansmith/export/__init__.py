"""Models for other programs: ONNX, one web page, TorchScript and torch.export."""
