"""Small worlds in which mode collapse can be counted, for any family that makes pictures from noise."""
