"""Options from a language model: how soon they are there, against plain completion calls, and in bad times."""
