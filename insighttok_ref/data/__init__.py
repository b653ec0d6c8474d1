"""What the quickstart is trained and tested on: words on photographs, faces, photographs, the user's own folder."""
