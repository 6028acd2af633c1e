"""The files of ncnn, the runtime of phones and of Upscayl: ``.param`` says what is computed, ``.bin`` holds the weights."""
