# Debian packages of a built tree, by CPack: tributary, tributary-client, tributary-server and, where it was built,
# tributary-trainer. `deploy/build-packages.sh` makes them.
include_guard()

set(packaging ${PROJECT_SOURCE_DIR}/deploy/packaging/debian)
set(TRIBUTARY_PACKAGE_CONTACT "" CACHE STRING "Maintainer of the packages, as \"Name <address>\": who builds them")
set(contact ${TRIBUTARY_PACKAGE_CONTACT})
if(NOT contact AND DEFINED ENV{DEBEMAIL})
  set(contact "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
elseif(NOT contact)
  cmake_host_system_information(RESULT host QUERY FQDN)
  set(contact "Local build <root@${host}>")
endif()

# A commit's packages are newer than those of the commits before it.
set(version ${PROJECT_VERSION})
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
find_program(GIT_PROGRAM git)
if(GIT_PROGRAM AND EXISTS ${PROJECT_SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT_PROGRAM} rev-list --count HEAD WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                  OUTPUT_VARIABLE count OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${GIT_PROGRAM} log -1 --format=%h,%aD WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(commit MATCHES "^([0-9a-f]+),(.*[0-9])$")
    set(date ${CMAKE_MATCH_2})
    set(version ${PROJECT_VERSION}+${count}.g${CMAKE_MATCH_1})
  endif()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tributary)
set(CPACK_PACKAGE_CONTACT ${contact})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "federated fine-tuning of language models across HPC centers")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_VERSION ${version})
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_COMPONENTS_ALL)

# tributary_package(<name> COMPONENT <component> DESCRIPTION <text> [DEPENDS ...] [RECOMMENDS ...] [SUGGESTS ...]
#                   [SERVICE <user> <gecos> <first command>])
# What the component installs, with a package's papers; with SERVICE the unit of its name and a user that it runs as, which
# owns /etc/<user> and /var/lib/<user>.
macro(tributary_package name)
  cmake_parse_arguments(PACKAGE "" "COMPONENT;DESCRIPTION" "DEPENDS;RECOMMENDS;SUGGESTS;SERVICE" ${ARGN})
  set(folder ${CMAKE_BINARY_DIR}/packaging/${name})
  set(component ${PACKAGE_COMPONENT})
  file(WRITE ${folder}/changelog
       "${name} (${version}) unstable; urgency=medium\n\n  * The tree as it was committed: its repository tells.\n\n"
       " -- ${contact}  ${date}\n")
  execute_process(COMMAND gzip -9nf ${folder}/changelog)
  install(FILES ${folder}/changelog.gz ${packaging}/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name}
          COMPONENT debian-${component} EXCLUDE_FROM_ALL)
  list(APPEND CPACK_COMPONENTS_ALL ${component} debian-${component})
  string(TOUPPER ${name} key)
  set(CPACK_DEBIAN_${key}_PACKAGE_NAME ${name})
  set(CPACK_DEBIAN_${key}_DESCRIPTION "${PACKAGE_DESCRIPTION}")
  foreach(relation DEPENDS RECOMMENDS SUGGESTS)
    list(JOIN PACKAGE_${relation} ", " names)
    set(CPACK_DEBIAN_${key}_PACKAGE_${relation} "${names}")
  endforeach()
  if(PACKAGE_SERVICE)
    list(GET PACKAGE_SERVICE 0 user)
    list(GET PACKAGE_SERVICE 1 gecos)
    list(GET PACKAGE_SERVICE 2 first_command)
    set(service ${name})
    set(scripts)
    foreach(script postinst prerm postrm)
      configure_file(${packaging}/${script}.in ${folder}/${script} @ONLY FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
                     GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
      list(APPEND scripts ${folder}/${script})
    endforeach()
    set(CPACK_DEBIAN_${key}_PACKAGE_CONTROL_EXTRA "${scripts}")
    install(FILES ${PROJECT_SOURCE_DIR}/deploy/systemd/${name}.service DESTINATION lib/systemd/system
            COMPONENT debian-${component} EXCLUDE_FROM_ALL)
  endif()
endmacro()

tributary_package(tributary COMPONENT cli DESCRIPTION
"Command line of a federation: makes one, enrolls its members, submits
campaigns, watches them and exports their results. It needs nothing of the
server's or a site's machine.")
tributary_package(tributary-server COMPONENT server DEPENDS adduser RECOMMENDS tributary
  SERVICE tributary "Tributary server" "tributary provision --dir /etc/tributary --data-dir /var/lib/tributary" DESCRIPTION
"The server of a federation: coordinates the sites of a campaign and combines
their updates. It does not start before a federation has been provisioned in
/etc/tributary.")
tributary_package(tributary-client COMPONENT client DEPENDS adduser RECOMMENDS tributary-trainer SUGGESTS slurm-client python3-torch
  SERVICE tributary-client "Tributary client"
  "tributary-client init --dir /etc/tributary-client --state-dir /var/lib/tributary-client/state" DESCRIPTION
"A site's daemon: takes tasks that the site allows, and runs them as jobs of
its scheduler (Slurm, PBS) or of this machine. It does not start before a site
has been made in /etc/tributary-client. Any user may run one of their own.")
if(TARGET tributary-trainer)
  tributary_package(tributary-trainer COMPONENT trainer RECOMMENDS libopenblas0-openmp DESCRIPTION
"Trains and evaluates adapters of language models in a task's directory, on
CPUs, or on GPUs where LibTorch has them. It reads model directories and
writes adapters as Hugging Face and PEFT do.")
endif()

# The daemon of an ordinary user, as the home directory's is, with this program.
file(READ ${PROJECT_SOURCE_DIR}/deploy/tributary-client.service unit)
string(REPLACE "%h/tributary/bin" "/usr/bin" unit "${unit}")
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/packaging/user/tributary-client.service CONTENT "${unit}" @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/packaging/user/tributary-client.service DESTINATION lib/systemd/user
        COMPONENT debian-client EXCLUDE_FROM_ALL)

include(CPack)
foreach(pair tributary=cli tributary-server=server tributary-client=client tributary-trainer=trainer)
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 group)
  list(GET pair 1 component)
  cpack_add_component(${component} GROUP ${group})
  cpack_add_component(debian-${component} GROUP ${group})
  cpack_add_component_group(${group})
endforeach()
