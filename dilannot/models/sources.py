"""Where the networks were published."""

THESIS = "Gupta 2017"
PAPER = "Gupta & Rush 2017"
DEEPSEA = "Zhou & Troyanskaya 2015"
DANQ = "Quang & Xie 2016"
PROJECTION = "Hawkins-Hooker et al. 2018"
BASSET = "Kelley et al. 2016"
LECTURE = "Kundaje & Zou 2017"
