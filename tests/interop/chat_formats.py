"""The conversation formats of docs/data.md as Jinja, from what the models' makers document; answers between
{% generation %} marks, so that transformers tells which tokens carry loss."""

SYSTEM_IN_FIRST_USER = (
    "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = none %}{% set turns = messages %}{% endif %}")


CHATML = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
          "{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}"
          "{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}")

LLAMA2 = (SYSTEM_IN_FIRST_USER + "{% for m in turns %}{% if m.role == 'user' %}"
          "{% if loop.first and system is not none %}"
          "{% set text = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m.content %}"
          "{% else %}{% set text = m.content %}{% endif %}"
          "{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}"
          "{% else %}{% generation %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endgeneration %}"
          "{% endif %}{% endfor %}")

LLAMA3 = ("{{ bos_token }}{% for m in messages %}"
          "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
          "{% if m.role == 'assistant' %}{% generation %}{{ (m.content | trim) + '<|eot_id|>' }}{% endgeneration %}"
          "{% else %}{{ (m.content | trim) + '<|eot_id|>' }}{% endif %}{% endfor %}")


def mistral(after_question):
    return (SYSTEM_IN_FIRST_USER + "{{ bos_token }}{% for m in turns %}{% if m.role == 'user' %}{{ '[INST] ' }}"
            "{% if loop.first and system is not none %}{{ system + '\n\n' }}{% endif %}{{ m.content + '" + after_question +
            "' }}{% else %}{% generation %}{{ ' ' + m.content + eos_token }}{% endgeneration %}{% endif %}{% endfor %}")


GEMMA = (SYSTEM_IN_FIRST_USER + "{{ bos_token }}{% for m in turns %}{% if m.role == 'user' %}"
         "{{ '<start_of_turn>user\n' }}{% if loop.first and system is not none %}{{ system + '\n\n' }}{% endif %}"
         "{{ (m.content | trim) + '<end_of_turn>\n' }}"
         "{% else %}{{ '<start_of_turn>model\n' }}{% generation %}{{ (m.content | trim) + '<end_of_turn>' }}"
         "{% endgeneration %}{{ '\n' }}{% endif %}{% endfor %}")


def role_tokens(end):
    return ("{% for m in messages %}{{ '<|' + m.role + '|>\n' }}"
            "{% if m.role == 'assistant' %}{% generation %}{{ m.content + " + end + " }}{% endgeneration %}"
            "{% else %}{{ m.content + " + end + " }}{% endif %}{{ '\n' }}{% endfor %}")


FORMATS = {"chatml": CHATML, "llama2": LLAMA2, "llama3": LLAMA3, "mistral": mistral(" [/INST]"),
           "mistral-v3": mistral("[/INST]"), "gemma": GEMMA, "phi3": role_tokens("'<|end|>'"),
           "zephyr": role_tokens("eos_token")}
