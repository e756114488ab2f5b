# What is installed where: one layout for packages, the wheel and `cmake --install`. Components: cli, client, server, trainer.
include_guard()
include(GNUInstallDirs)
# Whatever the umask of who builds.
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# tributary_installed_program(<target> <component>): the program, its manual page and its shells' completions, which it
# prints itself.
function(tributary_installed_program target component)
  install(TARGETS ${target} RUNTIME COMPONENT ${component})
  set(folder ${CMAKE_BINARY_DIR}/described)
  set(page ${folder}/${target}.1.gz)
  set(bash ${folder}/${target})
  set(zsh ${folder}/_${target})
  add_custom_command(
    OUTPUT ${page} ${bash} ${zsh}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
    COMMAND ${target} --manual > ${folder}/${target}.1
    COMMAND gzip -9nf ${folder}/${target}.1
    COMMAND ${target} --completion bash > ${bash}
    COMMAND ${target} --completion zsh > ${zsh}
    DEPENDS ${target}
    COMMENT "manual page and completions of ${target}"
    VERBATIM)
  add_custom_target(${target}-description DEPENDS ${page} ${bash} ${zsh})
  add_dependencies(descriptions ${target}-description)
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT ${component})
  install(FILES ${bash} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT ${component})
  install(FILES ${zsh} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT ${component})
endfunction()

add_custom_target(descriptions ALL)
tributary_installed_program(tributary cli)
tributary_installed_program(tributary-client client)
tributary_installed_program(tributary-server server)
if(TARGET tributary-trainer)
  tributary_installed_program(tributary-trainer trainer)
endif()

set(share ${CMAKE_INSTALL_DATADIR}/tributary)
install(DIRECTORY configs/campaigns configs/strategies deploy/modulefiles DESTINATION ${share} COMPONENT cli)
install(DIRECTORY configs/sites configs/trainers DESTINATION ${share} COMPONENT client PATTERN "__pycache__" EXCLUDE)
install(FILES configs/client.yaml deploy/tributary-client.service DESTINATION ${share} COMPONENT client)
install(FILES configs/server.yaml DESTINATION ${share} COMPONENT server)
