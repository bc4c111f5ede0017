"""What turns a text segment into PCM. Each module is one backend; `factory.py` picks one."""
