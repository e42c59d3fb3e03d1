"""Published numbers of trainable parameters, typed off the sources, with the outputs they were counted with."""

from __future__ import annotations

# Gupta 2017 (thesis), Gupta & Rush 2017 (paper), Zhou & Troyanskaya 2015, Quang & Xie 2016, Hawkins-Hooker et al. 2018.
# The paper's 631,263 for the three dilated networks count a vector of 50 that no layer uses.
PUBLISHED = {
    "logistic": (919, 3_676_919),
    "mlp": (919, 4_551_919),
    "conv3": (919, 60_472_479),
    "deepsea": (919, 52_843_119),
    "danq": (919, 46_926_479),
    "danq-jaspar": (919, 67_892_175),
    "dilated3": (919, 22_284_639),
    "dilated6": (919, 8_043_759),
    "dilated6-paper": (919, 25_758_079),
    "deep-dilated": (919, 2_073_943),
    "crnn-320": (919, 2_727_335),
    "crnn-320-projection": (919, 2_477_479),
    "crnn-700": (919, 3_174_595),
    "crnn-700-projection": (919, 2_547_779),
    "cnn-500": (919, 10_939_871),
    "cnn-500-projection": (919, 9_685_983),
    "conv1": (919, 137_187),
    "conv1-thesis": (917, 136_935),
    "conv3-dense": (919, 341_803),
    "conv3-dense-thesis": (917, 554_675),
    "conv7": (919, 656_363),
    "conv7-thesis": (917, 654_875),
    "dilated": (919, 631_213),
    "dilated-thesis": (917, 629_825),
    "dilated-pool": (919, 631_213),
    "dilated-pool-thesis": (917, 629_825),
    "dilated-dilated-pool": (919, 631_213),
    "dilated-dilated-pool-thesis": (917, 629_825),
    "bilstm": (919, 764_395),
    "bilstm-thesis": (917, 397_155),
    "id-cnn": (919, 635_739),
    "id-cnn-thesis": (917, 632_487),
}
UNPUBLISHED = ("hybrid", "basset", "kmer", "pssm", "danq-500", "danq-500-projection")
# The reduced study of the projection paper: filters -> without and with projection.
CNN_500 = {
    300: (9_900_371, 9_587_283),
    500: (10_197_371, 9_615_483),
    750: (10_568_621, 9_650_733),
    1000: (10_939_871, 9_685_983),
}
