"""The findings and the timeline: as text and JSON (`report`), as a page (`page`) and as a picture (`picture`)."""
