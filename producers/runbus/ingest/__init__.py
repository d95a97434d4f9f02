"""Records what other programs wrote or print: lines of JSON in their formats, and whole data sets."""
