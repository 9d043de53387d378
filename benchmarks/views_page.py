def page(found):
    return "", {}
