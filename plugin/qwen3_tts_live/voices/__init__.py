"""Whose voice it is: speakers of a checkpoint, cloned references, stored voices.

    voice.py      one voice, and the voices that a checkpoint can speak with
    reference.py  reference audio: checked, decoded, resampled
    cloning.py    from reference audio to a voice, cached by content
    store.py      voices as files in a folder
    library.py    voices that come and go while an engine runs

Imports no torch: what turns audio into an embedding is passed in.
"""
