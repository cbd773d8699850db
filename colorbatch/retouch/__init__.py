"""The page on which a person looks at the pictures of a job and says what the network cannot know: a local server."""
