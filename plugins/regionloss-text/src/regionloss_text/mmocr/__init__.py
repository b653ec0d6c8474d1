"""MMOCR: the detector DBNet and the features of ABINet, through MMOCR's own registry and configs."""
