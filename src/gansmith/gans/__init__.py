"""The families, one file each. The file name is the registry: a new file here is a new ``gansmith train`` name."""
