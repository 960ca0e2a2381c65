"""The doors of the older dialects: who may come in, how they are greeted, who else is there. The codecs know the
frames."""
